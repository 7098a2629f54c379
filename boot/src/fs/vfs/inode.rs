//! Inodes: the objects of file systems.

use std::any::Any;
use std::fmt::Debug;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::{
    AttributeChange, Attributes, FileKind, FileOps, FileSystem, FileSystemStatistics, OpenFlags, Path,
};
use crate::error::{Errno, Fail};
use crate::prelude::errno;
use crate::task::Task;

/// What a new inode is to be.
#[derive(Clone, Debug)]
pub(crate) struct NewInode {
    /// What it is.
    pub(crate) kind: NewInodeKind,
    /// The lower 12 bits of its mode; the umask has been applied.
    pub(crate) permissions: u32,
    /// The owner.
    pub(crate) uid: u32,
    /// The group; a directory with the set-group-id bit has been taken into account.
    pub(crate) gid: u32,
}

/// What a new inode is, with what only its kind has.
#[derive(Clone, Debug)]
pub(crate) enum NewInodeKind {
    /// An empty regular file.
    Regular,
    /// An empty directory.
    Directory,
    /// A symbolic link with this target.
    Symlink(Vec<u8>),
    /// A character device: major, minor.
    CharDevice(u32, u32),
    /// A block device: major, minor.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
    /// The name of a unix socket.
    Socket,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NameEntry {
    /// The name.
    pub(crate) name: Vec<u8>,
    /// The number of the inode that it stands for.
    pub(crate) inode: u64,
    /// What that is.
    pub(crate) kind: FileKind,
}

/// How a rename treats a name that exists (`renameat2(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RenameMode {
    /// It is replaced.
    Replace,
    /// `RENAME_NOREPLACE`: the rename fails with `EEXIST`.
    NoReplace,
    /// `RENAME_EXCHANGE`: the two change places.
    Exchange,
}

/// An object of a file system. The defaults refuse with the error number that Linux gives for an inode without the
/// operation.
///
/// Permissions and mount flags have been checked by the caller, and names are neither empty, `.` nor `..`, and
/// without `/`. The virtual file system holds no lock over a call that could block, but it serialises changes
/// of one directory's names.
pub(crate) trait Inode: Any + Send + Sync + Debug {
    /// Returns the file system that it belongs to.
    fn file_system(&self) -> Arc<dyn FileSystem>;

    /// Returns what it is, which never changes.
    fn kind(&self) -> FileKind;

    /// Returns its attributes.
    fn attributes(&self) -> Result<Attributes, Errno>;

    /// Changes attributes.
    fn set_attributes(&self, _change: &AttributeChange) -> Result<(), Errno> {
        Err(errno::EPERM)
    }

    /// Returns the object that `name` stands for in this directory.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is none.
    fn lookup(&self, _name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        Err(errno::ENOTDIR)
    }

    /// Makes an object with the name `name`, which does not exist, in this directory.
    fn create(&self, _name: &[u8], _new: &NewInode) -> Result<Arc<dyn Inode>, Errno> {
        Err(errno::EPERM)
    }

    /// Makes a regular file without a name in the file system of this directory (`O_TMPFILE`); whether it may get one
    /// later (not with `O_EXCL`) is its own matter then.
    fn create_unnamed(&self, _new: &NewInode, _is_linkable: bool) -> Result<Arc<dyn Inode>, Errno> {
        Err(errno::EOPNOTSUPP)
    }

    /// Gives `target`, of the same file system, another name in this directory.
    fn link(&self, _name: &[u8], _target: &Arc<dyn Inode>) -> Result<(), Errno> {
        Err(errno::EPERM)
    }

    /// Removes the name of `victim`, which is not a directory.
    fn unlink(&self, _name: &[u8], _victim: &Arc<dyn Inode>) -> Result<(), Errno> {
        Err(errno::EPERM)
    }

    /// Removes the directory `victim`, if it is empty.
    fn remove_directory(&self, _name: &[u8], _victim: &Arc<dyn Inode>) -> Result<(), Errno> {
        Err(errno::EPERM)
    }

    /// Renames `name` of this directory to `to_name` of the directory `to`, of the same file system. The kinds of what
    /// the two names have now were checked, and that no directory becomes its own ancestor; the replaced directory
    /// must be empty (`ENOTEMPTY`).
    fn rename(
        &self,
        _name: &[u8],
        _to: &Arc<dyn Inode>,
        _to_name: &[u8],
        _mode: RenameMode,
    ) -> Result<(), Errno> {
        Err(errno::EPERM)
    }

    /// Returns the target of this symbolic link, as `task` sees it (`/proc/self` differs).
    fn read_link(&self, _task: &Task) -> Result<Vec<u8>, Errno> {
        Err(errno::EINVAL)
    }

    /// Returns where this symbolic link leads if that is no matter of names (`/proc/PID/fd/N`); `None` for an ordinary
    /// link.
    fn magic_link(&self, _task: &Task) -> Option<Result<Path, Errno>> {
        None
    }

    /// Opens it. Devices, pipes and sockets are opened by the virtual file system itself, except by file systems whose
    /// [`FileSystem::opens_special`] says otherwise. Truncation has been done.
    fn open(self: Arc<Self>, _cx: &OpenCx<'_>) -> Result<Box<dyn FileOps>, Fail>;

    /// Returns the target of this symbolic link, where that is the same for all.
    fn symlink_target(&self) -> Result<Vec<u8>, Errno> {
        Err(errno::EINVAL)
    }

    /// Returns the names in this directory without `.` and `..`, for an overlay above it.
    fn names(self: Arc<Self>) -> Result<Vec<NameEntry>, Errno> {
        Err(errno::ENOTDIR)
    }

    /// Returns a host file with the contents of this regular file, to be read by an overlay above it.
    fn host_file(&self) -> Result<Arc<OwnedFd>, Errno> {
        Err(errno::EOPNOTSUPP)
    }

    /// Returns the value of an extended attribute (`xattr(7)`).
    fn xattr(&self, _name: &[u8]) -> Result<Vec<u8>, Errno> {
        Err(errno::EOPNOTSUPP)
    }

    /// Sets an extended attribute.
    fn set_xattr(&self, _name: &[u8], _value: &[u8], _mode: XattrMode) -> Result<(), Errno> {
        Err(errno::EOPNOTSUPP)
    }

    /// Returns the names of the extended attributes.
    fn xattr_names(&self) -> Result<Vec<Vec<u8>>, Errno> {
        Err(errno::EOPNOTSUPP)
    }

    /// Removes an extended attribute.
    fn remove_xattr(&self, _name: &[u8]) -> Result<(), Errno> {
        Err(errno::EOPNOTSUPP)
    }

    /// Returns what its contents are sealed against (`fcntl(2)`, `F_GET_SEALS`).
    fn seals(&self) -> Result<u32, Errno> {
        Err(errno::EINVAL)
    }

    /// Seals its contents (`fcntl(2)`, `F_ADD_SEALS`).
    fn add_seals(&self, _seals: u32) -> Result<(), Errno> {
        Err(errno::EINVAL)
    }

    /// Returns what `statfs(2)` tells.
    fn statistics(&self) -> Result<FileSystemStatistics, Errno> {
        self.file_system().statistics()
    }

    /// Returns the place where the virtual file system keeps what belongs to the inode but to no file system: advisory
    /// locks, watches, the pipe of a FIFO, the socket bound to a name.
    fn anchors(&self) -> &super::Anchors;
}

/// Returns the inode as one of the type `T`, if it is.
pub(crate) fn downcast_inode<T: Inode>(inode: &Arc<dyn Inode>) -> Option<Arc<T>> {
    let inode: Arc<dyn Any + Send + Sync> = Arc::clone(inode) as Arc<_>;
    inode.downcast().ok()
}

/// Whether setting an extended attribute may make or replace it (`setxattr(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum XattrMode {
    /// Either.
    Any,
    /// `XATTR_CREATE`: it must not exist (`EEXIST`).
    Create,
    /// `XATTR_REPLACE`: it must exist (`ENODATA`).
    Replace,
}

/// What an inode is opened with.
#[derive(Debug)]
pub(crate) struct OpenCx<'a> {
    /// Who opens it.
    pub(crate) task: &'a Arc<Task>,
    /// Where it was found.
    pub(crate) path: &'a Path,
    /// How it is opened.
    pub(crate) flags: OpenFlags,
}
