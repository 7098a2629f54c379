//! Writing a snapshot.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use cloister_proto::control::FileSum;
use cloister_proto::snapshot::{Build, FORMAT, MANIFEST};
use cloister_proto::version::Handshake;
use jiff::Timestamp;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tempfile::TempDir;

use super::manifest::{FileEntry, Manifest, processor};
use super::{FILES, SnapshotError};
use crate::state::ContainerId;

/// A snapshot that is being written. Dropping it removes what was.
#[derive(Debug)]
pub struct NewSnapshot {
    place: PathBuf,
    folder: TempDir,
    files: Vec<File>,
    build: Build,
}

impl NewSnapshot {
    /// Makes the files of a snapshot that is to be at `place`, which may be a folder that is empty, or holds an earlier one.
    ///
    /// # Errors
    ///
    /// Something else is there, or the system's.
    pub fn new(place: &Path) -> Result<Self, SnapshotError> {
        let place = std::path::absolute(place).unwrap_or_else(|_| place.to_owned());
        check_place(&place)?;
        let parent = place.parent().unwrap_or(&place).to_owned();
        fs::create_dir_all(&parent).map_err(failed("make", &parent))?;
        let folder = tempfile::Builder::new()
            .prefix(".checkpoint-")
            .suffix(".tmp")
            .tempdir_in(&parent)
            .map_err(failed("make a folder in", &parent))?;
        let open = |name: &&str| {
            let path = folder.path().join(name);
            let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
            file.map_err(failed("make", &path))
        };
        let files = FILES.iter().map(open).collect::<Result<_, _>>()?;
        let mut build = Build::default();
        rustix::rand::getrandom(&mut build[..], rustix::rand::GetRandomFlags::empty())
            .map_err(|errno| failed("make an id for", &place)(errno.into()))?;
        Ok(Self { place, folder, files, build })
    }

    /// The id of the snapshot.
    #[must_use]
    pub fn build(&self) -> Build {
        self.build
    }

    /// The files, in the order in which the kernel takes them.
    #[must_use]
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Puts the snapshot in its place, once all of it is on the disk. `sums` are those of the files.
    ///
    /// # Errors
    ///
    /// The files are not of this size, or the system's; the place is then as it was before.
    pub fn commit(self, id: &ContainerId, sums: &[FileSum]) -> Result<(), SnapshotError> {
        let path = |name: &str| self.folder.path().join(name);
        for ((name, file), sum) in FILES.iter().zip(&self.files).zip(sums) {
            let found = file.metadata().map_err(failed("look at", &path(name)))?.len();
            if found != sum.bytes {
                let what = format!("it has {found} bytes in place of {}", sum.bytes);
                return Err(SnapshotError::Damaged { path: path(name), what });
            }
            file.sync_all().map_err(failed("write", &path(name)))?;
        }
        let entry = |sum: &FileSum| FileEntry { bytes: sum.bytes, crc32: sum.crc32 };
        let manifest = Manifest {
            format: FORMAT,
            build: self.build.iter().map(|byte| format!("{byte:02x}")).collect(),
            parent: None,
            generation: 0,
            program: Handshake::ours().build,
            container: id.to_string(),
            created: Timestamp::now().to_string(),
            processor: processor(),
            files: FILES.iter().map(|name| (*name).to_owned()).zip(sums.iter().map(entry)).collect(),
        };
        let write = || -> io::Result<()> {
            let mut file = File::create_new(path(MANIFEST))?;
            serde_json::to_writer_pretty(&mut file, &manifest)?;
            file.write_all(b"\n")?;
            file.sync_all()
        };
        write().map_err(failed("write", &path(MANIFEST)))?;
        sync_folder(self.folder.path())?;
        self.put_in_place()
    }

    /// Renames the folder. One that is there already is exchanged, and removed after that.
    fn put_in_place(self) -> Result<(), SnapshotError> {
        let place = &self.place;
        let replaces = place.exists();
        let flags = if replaces { RenameFlags::EXCHANGE } else { RenameFlags::NOREPLACE };
        renameat_with(CWD, self.folder.path(), CWD, place, flags)
            .map_err(|errno| failed("put a snapshot at", place)(errno.into()))?;
        if !replaces {
            // It has another name now, which is not to be removed.
            let _ = self.folder.keep();
        }
        sync_folder(place.parent().unwrap_or(place))
    }
}

/// Checks that nothing is at `place` that is not to be lost.
fn check_place(place: &Path) -> Result<(), SnapshotError> {
    let entries = match fs::read_dir(place) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(SnapshotError::Occupied(place.to_owned()));
        }
        Err(error) => return Err(failed("look at", place)(error)),
    };
    let names: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
    let is_ours = |name: &std::ffi::OsString| name == MANIFEST || FILES.iter().any(|own| name == own);
    if names.iter().all(is_ours) { Ok(()) } else { Err(SnapshotError::Occupied(place.to_owned())) }
}

fn sync_folder(path: &Path) -> Result<(), SnapshotError> {
    let folder = File::open(path).map_err(failed("open", path))?;
    rustix::fs::fsync(folder.as_fd()).map_err(|errno| failed("write", path)(errno.into()))
}

pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
    let path = path.to_owned();
    move |source| SnapshotError::File { action, path, source }
}
