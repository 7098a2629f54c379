//! The virtual file system: what all file systems have in common.
//!
//! | type | is |
//! |---|---|
//! | [`FileSystem`] | a file system instance (Linux' super block) |
//! | [`Inode`] | an object of one: file, directory, link, device, … |
//! | [`Dentry`] | a name in the tree, with the inode that it has (or with none: a negative entry) |
//! | [`Mount`] | a place where a file system is attached |
//! | [`Path`] | a dentry as seen through a mount |
//! | [`OpenFile`] | an open file description; [`FileOps`] is what differs by kind |
//! | [`FdTable`] | descriptors |

mod anchors;
pub(crate) mod attribute_rules;
mod attributes;
mod dentry;
mod dentry_cache;
mod fd_table;
mod file_locks;
mod file_ops;
mod file_system;
mod fs_context;
mod image;
mod inode;
mod io;
mod mount;
mod mount_namespace;
pub(crate) mod names;
pub(crate) mod notify;
pub(crate) mod open;
mod open_file;
mod path;
pub(crate) mod permission;
mod resolve;
mod scratch;
#[cfg(test)]
mod tests;
pub(crate) mod transfer;
mod vfs;

pub(crate) use anchors::Anchors;
pub(crate) use attributes::{AttributeChange, Attributes, Change, FileKind, Timestamp};
use dentry::Absent;
pub(crate) use dentry::{Dentry, DirectoryGuard};
pub(crate) use dentry_cache::DentryCache;
pub(crate) use fd_table::{FdFlags, FdTable};
pub(crate) use file_locks::{FileLocksImage, LockKind, LockOwner, LockWaits, RecordLock};
pub(crate) use file_ops::{DirectorySink, FileCx, FileOps, MapSource, Whence};
pub(crate) use file_system::{FileSystem, FileSystemStatistics, NameCache};
pub(crate) use fs_context::FsContext;
pub(crate) use image::{
    DentryImage, FdTableImage, FsContextImage, MountNamespaceImage, OpenFileImage, PathImage,
};
pub(crate) use inode::{
    Inode, NameEntry, NewInode, NewInodeKind, OpenCx, RenameMode, XattrMode, downcast_inode,
};
pub(crate) use io::{Sink, Source, read_direct};
pub(crate) use mount::{Mount, MountFlags, NewMount};
pub(crate) use mount_namespace::{MountNamespace, Recursive, Unmount};
pub(crate) use names::NewName;
pub(crate) use open_file::{AsyncOwner, OpenFile, OpenFlags};
pub(crate) use path::Path;
pub(crate) use permission::Access;
pub(crate) use resolve::{Follow, Last, LastName, Resolve, Target, Walker};
pub(crate) use scratch::with_scratch;
pub(crate) use transfer::{At, TransferFlags};
pub(crate) use vfs::{Vfs, new_device_number, reserve_device_number};
