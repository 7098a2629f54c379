//! Reading a snapshot.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use cloister_proto::snapshot::{DATA, FORMAT, HEADER, KERNEL, MANIFEST};
use cloister_proto::version::Handshake;
use crc32fast::Hasher;

use super::SnapshotError;
use super::manifest::{FileEntry, Manifest, processor};
use super::writing::failed;

/// How much is read at once.
const READ_BYTES: usize = 1 << 20;

/// A snapshot that is whole.
#[derive(Debug)]
pub struct Snapshot {
    /// What it is.
    pub manifest: Manifest,
    /// The kernel's objects and the header of memory, open for reading.
    pub files: Vec<File>,
    /// The pages of each build, open for reading.
    pub data: Vec<File>,
}

/// What of the pages is read to see whether they are as they were written. All other files always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// All of it.
    Pages,
    /// Only how much there is: for who does not read what is not used.
    Size,
}

impl Snapshot {
    /// Opens the snapshot at `place`, and checks that its files are as they were written, as far as `verify` says, and can be
    /// used here.
    ///
    /// # Errors
    ///
    /// There is none, or it is damaged, of another version, or needs another processor.
    pub fn open(place: &Path, verify: Verify) -> Result<Self, SnapshotError> {
        let path = place.join(MANIFEST);
        let manifest = Manifest::read(place)?;
        check_versions(place, &manifest)?;
        let missing: Vec<_> = manifest.processor.difference(&processor()).cloned().collect();
        if !missing.is_empty() {
            return Err(SnapshotError::Processor { path: place.to_owned(), missing: missing.join(", ") });
        }
        let open = |name: &str, verify| {
            let entry = manifest.files.get(name).copied();
            let damaged =
                || SnapshotError::Damaged { path: path.clone(), what: format!("{name} is not listed") };
            open_file(&place.join(name), entry.ok_or_else(damaged)?, verify)
        };
        let files = vec![open(KERNEL, Verify::Pages)?, open(HEADER, Verify::Pages)?];
        let data = vec![open(DATA, verify)?];
        Ok(Self { manifest, files, data })
    }
}

impl Manifest {
    /// Reads the manifest of the snapshot at `place`, and believes it.
    ///
    /// # Errors
    ///
    /// There is no snapshot, or the manifest is damaged.
    pub fn read(place: &Path) -> Result<Self, SnapshotError> {
        let path = place.join(MANIFEST);
        match fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).map_err(|source| SnapshotError::Manifest { path, source })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && place.is_dir() => {
                Err(SnapshotError::NoManifest(place.to_owned()))
            }
            Err(error) => Err(failed("read", &path)(error)),
        }
    }
}

fn check_versions(place: &Path, manifest: &Manifest) -> Result<(), SnapshotError> {
    if manifest.format != FORMAT {
        let (path, found) = (place.to_owned(), manifest.format);
        return Err(SnapshotError::Format { path, found, expected: FORMAT });
    }
    let expected = Handshake::ours().build;
    if manifest.program != expected {
        let (path, found) = (place.to_owned(), manifest.program.clone());
        return Err(SnapshotError::Build { path, found, expected });
    }
    Ok(())
}

/// Opens a file, and sees whether it is as it was.
fn open_file(path: &Path, entry: FileEntry, verify: Verify) -> Result<File, SnapshotError> {
    let damaged = |what: String| SnapshotError::Damaged { path: path.to_owned(), what };
    let mut file = File::open(path).map_err(failed("open", path))?;
    let found = file.metadata().map_err(failed("look at", path))?.len();
    if found != entry.bytes {
        return Err(damaged(format!("it has {found} bytes in place of {}", entry.bytes)));
    }
    if verify == Verify::Size {
        return Ok(file);
    }
    let (mut hasher, mut buffer) = (Hasher::new(), vec![0; READ_BYTES]);
    loop {
        match file.read(&mut buffer).map_err(failed("read", path))? {
            0 => break,
            read => hasher.update(buffer.get(..read).unwrap_or_default()),
        }
    }
    if hasher.finalize() != entry.crc32 {
        return Err(damaged("its contents are not what was written".to_owned()));
    }
    Ok(file)
}
