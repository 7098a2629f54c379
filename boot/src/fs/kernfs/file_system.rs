//! The file system object.

use crate::error::Errno;
use crate::fs::{FileSystem, FileSystemStatistics, NameCache, Timestamp};

/// A file system of the kernel's own objects.
#[derive(Debug)]
pub(crate) struct KernFs {
    type_name: &'static str,
    magic: u64,
    device: (u32, u32),
    name_cache: NameCache,
    /// When it was made: the time of its files, unless they know better.
    pub(super) created: Timestamp,
}

impl KernFs {
    /// Makes a file system of this type. The magic number is what `statfs(2)` tells.
    pub(crate) fn new(
        type_name: &'static str,
        magic: u64,
        device: (u32, u32),
        name_cache: NameCache,
        created: Timestamp,
    ) -> Self {
        Self { type_name, magic, device, name_cache, created }
    }
}

impl FileSystem for KernFs {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn device(&self) -> (u32, u32) {
        self.device
    }

    fn statistics(&self) -> Result<FileSystemStatistics, Errno> {
        Ok(FileSystemStatistics {
            magic: self.magic,
            block_bytes: 4096,
            name_max: 255,
            ..FileSystemStatistics::default()
        })
    }

    fn name_cache(&self) -> NameCache {
        self.name_cache
    }
}
