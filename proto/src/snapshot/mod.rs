//! Snapshots on disk.
//!
//! A snapshot is a folder:
//!
//! | file | holds |
//! |---|---|
//! | [`MANIFEST`] | format, build id, parent, sizes and checksums, processor features; written last |
//! | [`KERNEL`] | all objects of the kernel, see `boot/src/snapshot` |
//! | [`HEADER`] | [`MemoryHeader`]: which page of which memory is where |
//! | [`DATA`] | pages, each at a multiple of its size, so that the file can be mapped |

mod memory_header;

pub use memory_header::{Build, HeaderError, MemoryHeader, MemoryImage, Run};

/// The version of the format, in all files.
pub const FORMAT: u32 = 1;
/// The name of the manifest.
pub const MANIFEST: &str = "manifest.json";
/// The name of the file with the kernel's objects.
pub const KERNEL: &str = "kernel.img";
/// The name of the file that tells where pages are.
pub const HEADER: &str = "memory.hdr";
/// The name of the file with the pages.
pub const DATA: &str = "memory.dat";
/// The size of a page in bytes.
pub const PAGE_BYTES: u64 = 4096;
/// Most descriptors of a packet of lists of pages.
pub const PAGEMAPS_PER_PACKET: usize = 64;
