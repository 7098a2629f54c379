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
mod attributes;
mod dentry;
mod fd_table;
mod file_ops;
mod file_system;
mod fs_context;
mod inode;
mod io;
mod mount;
mod open_file;

pub(crate) use anchors::{AnchorSet, Anchors};
pub(crate) use attributes::{AttributeChange, Attributes, Change, FileKind, Timestamp};
pub(crate) use dentry::{Dentry, Path};
pub(crate) use fd_table::{FdFlags, FdTable};
pub(crate) use file_ops::{DirectorySink, FileCx, FileOps, MapSource, Whence};
pub(crate) use file_system::{FileSystem, FileSystemStatistics, NameCache};
pub(crate) use fs_context::FsContext;
pub(crate) use inode::{Inode, NewInode, NewInodeKind, OpenCx, RenameMode, XattrMode};
pub(crate) use io::{Sink, Source};
pub(crate) use mount::{Mount, MountFlags};
pub(crate) use open_file::{OpenFile, OpenFlags};
