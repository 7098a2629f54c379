//! The inodes of host descriptors.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::error::{Errno, Fail, fail};
use crate::fs::{
    Anchors, AttributeChange, Attributes, FileKind, FileOps, FileSystem, FileSystemStatistics, Inode,
    NameCache, OpenCx, Timestamp,
};
use crate::prelude::errno;

use super::descriptor::to_errno;

/// The file system that host descriptors are in.
#[derive(Debug)]
pub(super) struct HostFileSystem {
    pub(super) device: (u32, u32),
}

impl FileSystem for HostFileSystem {
    fn type_name(&self) -> &'static str {
        "hostfs"
    }

    fn device(&self) -> (u32, u32) {
        self.device
    }

    fn statistics(&self) -> Result<FileSystemStatistics, Errno> {
        // The magic number of Linux' own hostfs.
        Ok(FileSystemStatistics {
            magic: 0x00c0_ffee,
            block_bytes: 4096,
            name_max: 255,
            ..Default::default()
        })
    }

    fn name_cache(&self) -> NameCache {
        NameCache::Never
    }
}

/// The inode of a host descriptor: its attributes are the host's, its owner is the guest's root, since the users of the
/// host mean nothing in the sandbox.
#[derive(Debug)]
pub(crate) struct HostInode {
    file_system: Arc<HostFileSystem>,
    /// A duplicate, to ask for attributes.
    fd: OwnedFd,
    kind: FileKind,
    given_as: Option<u32>,
    anchors: Anchors,
}

impl HostInode {
    pub(super) fn new(
        file_system: Arc<HostFileSystem>,
        fd: OwnedFd,
        kind: FileKind,
        given_as: Option<u32>,
    ) -> Self {
        Self { file_system, fd, kind, given_as, anchors: Anchors::default() }
    }

    /// Returns the number by which the container was given it.
    pub(crate) fn given_as(&self) -> Option<u32> {
        self.given_as
    }
}

fn timestamp(seconds: i64, nanoseconds: u64) -> Timestamp {
    Timestamp { seconds, nanoseconds: u32::try_from(nanoseconds).unwrap_or(0) }
}

impl Inode for HostInode {
    fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::clone(&self.file_system) as Arc<_>
    }

    fn kind(&self) -> FileKind {
        self.kind
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        let stat = rustix::fs::fstat(&self.fd).map_err(to_errno)?;
        Ok(Attributes {
            inode: stat.st_ino,
            kind: self.kind,
            permissions: stat.st_mode & 0o7777,
            links: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
            uid: 0,
            gid: 0,
            device: (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)),
            size: u64::try_from(stat.st_size).unwrap_or(0),
            blocks: u64::try_from(stat.st_blocks).unwrap_or(0),
            block_bytes: u32::try_from(stat.st_blksize).unwrap_or(4096),
            accessed: timestamp(stat.st_atime, stat.st_atime_nsec),
            modified: timestamp(stat.st_mtime, stat.st_mtime_nsec),
            changed: timestamp(stat.st_ctime, stat.st_ctime_nsec),
            created: None,
        })
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<(), Errno> {
        match *change {
            AttributeChange { size: Some(size), permissions: None, uid: None, gid: None, .. } => {
                rustix::fs::ftruncate(&self.fd, size).map_err(to_errno)
            }
            AttributeChange { permissions: None, uid: None, gid: None, .. } => Ok(()),
            _ => Err(errno::EPERM),
        }
    }

    fn open(self: Arc<Self>, _cx: &OpenCx<'_>) -> Result<Box<dyn FileOps>, Fail> {
        Err(fail(errno::ENXIO, "a descriptor of the host can't be opened again"))
    }

    fn anchors(&self) -> &Anchors {
        &self.anchors
    }
}
