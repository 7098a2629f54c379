//! The file systems of files without a name.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Errno;
use crate::fs::{FileSystem, FileSystemStatistics, NameCache};
use crate::prelude::uapi;

/// What a file system of this sort holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnonKind {
    /// Pipes.
    Pipe,
    /// Sockets.
    Socket,
    /// All else; one inode is enough for all.
    Object,
}

/// A file system of files without a name.
#[derive(Debug)]
pub(crate) struct AnonFileSystem {
    kind: AnonKind,
    device: (u32, u32),
    last_inode: AtomicU64,
}

impl AnonFileSystem {
    /// Makes one.
    pub(crate) fn new(kind: AnonKind) -> Self {
        // Linux gives these, and all without a device behind them, major number 0.
        let minor = match kind {
            AnonKind::Pipe => 14,
            AnonKind::Socket => 8,
            AnonKind::Object => 15,
        };
        Self { kind, device: (0, minor), last_inode: AtomicU64::new(0) }
    }

    /// Returns what it holds.
    pub(crate) fn kind(&self) -> AnonKind {
        self.kind
    }

    /// Has no new inode get the number of one that was brought back.
    pub(super) fn reserve_inode_number(&self, number: u64) {
        self.last_inode.fetch_max(number, Ordering::Relaxed);
    }

    /// Returns the number of a new inode.
    pub(crate) fn new_inode_number(&self) -> u64 {
        self.last_inode.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl FileSystem for AnonFileSystem {
    fn type_name(&self) -> &'static str {
        match self.kind {
            AnonKind::Pipe => "pipefs",
            AnonKind::Socket => "sockfs",
            AnonKind::Object => "anon_inodefs",
        }
    }

    /// A pipe is opened without waiting for its other end, unlike a FIFO.
    fn opens_special(&self) -> bool {
        true
    }

    fn device(&self) -> (u32, u32) {
        self.device
    }

    fn statistics(&self) -> Result<FileSystemStatistics, Errno> {
        let magic = match self.kind {
            AnonKind::Pipe => uapi::PIPEFS_MAGIC,
            AnonKind::Socket => uapi::SOCKFS_MAGIC,
            AnonKind::Object => uapi::ANON_INODE_FS_MAGIC,
        };
        Ok(FileSystemStatistics {
            magic: u64::from(magic),
            block_bytes: 4096,
            name_max: 255,
            ..FileSystemStatistics::default()
        })
    }

    fn name_cache(&self) -> NameCache {
        NameCache::Never
    }
}
