//! Gives the protocol its number: a fingerprint of this crate's sources, which all of its messages are written in.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-env-changed=CLOISTER_REVISION");
    let sources = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("src");
    let mut files = BTreeSet::new();
    collect(&sources, &mut files)?;
    let mut fingerprint = Fnv::default();
    for file in files {
        let name = file.strip_prefix(&sources).unwrap_or(&file);
        fingerprint.add(name.as_os_str().as_encoded_bytes());
        fingerprint.add(&fs::read(&file)?);
    }
    println!("cargo::rustc-env=CLOISTER_PROTOCOL={}", fingerprint.0);
    Ok(())
}

fn collect(folder: &Path, files: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.insert(entry.path());
        }
    }
    Ok(())
}

/// The 32-bit FNV-1a hash: it is to tell builds apart, not to resist anybody.
struct Fnv(u32);

impl Default for Fnv {
    fn default() -> Self {
        Self(0x811c_9dc5)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }
}
