//! File systems.

use std::any::Any;
use std::fmt::Debug;

use crate::error::Errno;

/// A file system instance: Linux' super block.
pub(crate) trait FileSystem: Any + Send + Sync + Debug {
    /// Returns the name of its type, as in `/proc/filesystems`.
    fn type_name(&self) -> &'static str;

    /// Returns the number of the device that `stat` tells for its inodes: unique among the file systems of the sandbox
    /// ([`new_device_number`](super::new_device_number)).
    fn device(&self) -> (u32, u32);

    /// Returns what `statfs(2)` tells.
    fn statistics(&self) -> Result<FileSystemStatistics, Errno>;

    /// Returns how far the virtual file system may keep what [`Inode::lookup`](super::Inode::lookup) told.
    fn name_cache(&self) -> NameCache;

    /// Returns whether [`Inode::open`](super::Inode::open) opens devices too.
    fn opens_special(&self) -> bool {
        false
    }

    /// Writes all to stable storage (`syncfs(2)`).
    fn sync(&self) -> Result<(), Errno> {
        Ok(())
    }
}

/// How far names may be kept in the dentry cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameCache {
    /// For as long as there is room: all changes go through this kernel. Names that do not exist too.
    Keep,
    /// Names change by themselves (`/proc`): each walk asks again.
    Never,
}

/// What `statfs(2)` tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileSystemStatistics {
    /// The type's magic number (`linux/magic.h`).
    pub(crate) magic: u64,
    /// The size of a block in bytes.
    pub(crate) block_bytes: u64,
    /// All blocks.
    pub(crate) blocks: u64,
    /// The free ones.
    pub(crate) blocks_free: u64,
    /// Those that an unprivileged user can have.
    pub(crate) blocks_available: u64,
    /// All inodes.
    pub(crate) files: u64,
    /// The free ones.
    pub(crate) files_free: u64,
    /// The longest name in bytes.
    pub(crate) name_max: u64,
}
