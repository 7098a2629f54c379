//! `manifest.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde::{Deserialize, Serialize};

/// What a snapshot is: written last, so that a folder without it is no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The version of the format.
    pub format: u32,
    /// The id of the snapshot, in hexadecimal digits.
    pub build: String,
    /// The id of the snapshot that this one only has the differences from; there is none yet.
    pub parent: Option<String>,
    /// How many snapshots are before this one.
    pub generation: u32,
    /// The build of Cloister that made it.
    pub program: String,
    /// The id that the container had.
    pub container: String,
    /// When it was made.
    pub created: String,
    /// What the processor has (`flags` of `/proc/cpuinfo`): programs may have seen it.
    pub processor: BTreeSet<String>,
    /// The files, by name.
    pub files: BTreeMap<String, FileEntry>,
}

/// A file of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileEntry {
    /// Size in bytes.
    pub bytes: u64,
    /// CRC-32 of the contents.
    pub crc32: u32,
}

/// What this processor has. What comes and goes with the kernel of the host, and programs do not use, is left out.
pub(super) fn processor() -> BTreeSet<String> {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags")?.split_once(':'));
    let flags = flags.map(|(_, flags)| flags).unwrap_or_default();
    flags
        .split_whitespace()
        .filter(|flag| PROGRAMS.iter().any(|prefix| flag.starts_with(prefix)))
        .map(str::to_owned)
        .collect()
}

/// How the names of features begin that programs use without asking again.
const PROGRAMS: [&str; 27] = [
    "adx", "aes", "amx", "avx", "bmi", "cldemote", "clflush", "clwb", "cmov", "cx", "erms", "f16c", "fma",
    "fsgsbase", "fsrm", "gfni", "lzcnt", "abm", "mmx", "movbe", "movdir", "pclmul", "popcnt", "rd", "sha_ni",
    "sse", "xsave",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_has_what_every_x86_64_has() {
        assert!(processor().contains("sse2"), "{:?}", processor());
        assert!(!processor().contains("fpu"));
    }
}
