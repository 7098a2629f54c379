//! Host files that mappings show.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{MemfdFlags, fstat, ftruncate, memfd_create};
use rustix::io::pwrite;
use serde::{Deserialize, Serialize};

use crate::error::Errno;
use crate::fs::OpenFile;

/// What tells one file's memory from another's: by this two tasks that map the same file meet at a shared futex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ObjectKey {
    device: u64,
    inode: u64,
}

/// Whose memory it is.
#[derive(Clone, Debug)]
pub(crate) enum ObjectOwner {
    /// A file that the guest mapped. It stays open while it is mapped.
    File(Arc<OpenFile>),
    /// Shared anonymous memory.
    Anonymous,
    /// A System V shared memory segment with this key.
    SystemV(i32),
    /// The kernel's code in user space.
    Kernel,
}

/// A host file that mappings show.
#[derive(Debug)]
pub(crate) struct MemoryObject {
    host: Arc<OwnedFd>,
    key: ObjectKey,
    owner: ObjectOwner,
}

impl MemoryObject {
    /// Wraps the host file of a file that the guest maps.
    ///
    /// # Errors
    ///
    /// The host's.
    pub(crate) fn of_file(host: Arc<OwnedFd>, file: Arc<OpenFile>) -> Result<Arc<Self>, Errno> {
        Self::new(host, ObjectOwner::File(file))
    }

    /// Makes memory of `len` bytes, all zero, for mappings to share.
    ///
    /// # Errors
    ///
    /// The host's: `EMFILE` if the kernel has too many such objects.
    pub(crate) fn with_len(len: u64, owner: ObjectOwner) -> Result<Arc<Self>, Errno> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL;
        let host = match memfd_create("shared", flags) {
            // A host before Linux 6.3.
            Err(rustix::io::Errno::INVAL) => memfd_create("shared", MemfdFlags::CLOEXEC),
            result => result,
        };
        let host = host.map_err(from_host)?;
        ftruncate(&host, len).map_err(from_host)?;
        Self::new(Arc::new(host), owner)
    }

    /// Makes memory that holds `bytes`, for mappings to show.
    ///
    /// # Errors
    ///
    /// The host's.
    pub(crate) fn with_bytes(bytes: &[u8]) -> Result<Arc<Self>, Errno> {
        let object = Self::with_len(bytes.len() as u64, ObjectOwner::Kernel)?;
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            done += pwrite(object.host(), rest, done as u64).map_err(from_host)?;
        }
        Ok(object)
    }

    fn new(host: Arc<OwnedFd>, owner: ObjectOwner) -> Result<Arc<Self>, Errno> {
        let stat = fstat(&host).map_err(from_host)?;
        let key = ObjectKey { device: stat.st_dev, inode: stat.st_ino };
        Ok(Arc::new(Self { host, key, owner }))
    }

    /// Returns the host file.
    pub(crate) fn host(&self) -> BorrowedFd<'_> {
        self.host.as_fd()
    }

    /// Returns what tells its memory from others'.
    pub(crate) fn key(&self) -> ObjectKey {
        self.key
    }

    /// Returns whose memory it is.
    pub(crate) fn owner(&self) -> &ObjectOwner {
        &self.owner
    }

    /// Returns the file that the guest mapped.
    pub(crate) fn file(&self) -> Option<&Arc<OpenFile>> {
        match &self.owner {
            ObjectOwner::File(file) => Some(file),
            ObjectOwner::Anonymous | ObjectOwner::SystemV(_) | ObjectOwner::Kernel => None,
        }
    }
}

fn from_host(errno: rustix::io::Errno) -> Errno {
    Errno::from_raw(errno.raw_os_error())
}
