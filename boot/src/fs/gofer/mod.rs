//! Host files behind a gofer.
//!
//! A [`GoferFs`] is one connection to a gofer (`cloister_9p`), which serves one tree. Names are looked up and changed by
//! requests; contents are not: an open regular file is a descriptor of the host's, which the gofer handed over, and reads,
//! writes and mappings are the host's own. So is the page cache, which all sandboxes of a host share.
//!
//! What may be kept is told by [`Trust`]: if all changes go through this kernel, names and attributes are asked for once, and
//! those of a directory that was listed not even that often (`listing.rs`).
//! The attributes of a file that is open for writing are always the host's, by `fstat(2)` on its descriptor.
//!
//! # Locking
//!
//! A request takes [`class::GOFER`](cloister_sync::class::GOFER), which serialises the connection, and holds no lock of an
//! inode meanwhile. [`class::INODE`](cloister_sync::class::INODE) protects what an inode knows.
//! [`class::RELEASED`](cloister_sync::class::RELEASED) protects the table of inodes and what waits to be given back to the
//! gofer, so that an inode can be dropped anywhere.
//!
//! # Snapshot
//!
//! The files are the host's own and are not saved. A [`image::GoferInodeImage`] holds by which names a file is found
//! behind the gofer of another sandbox, and what it must still be: that it is not, is an error.

mod attributes;
mod directory;
mod file;
mod file_system;
mod handles;
mod image;
mod inode;
mod listing;
mod ops;

#[cfg(test)]
mod tests;

pub(crate) use file_system::{GoferFs, Trust};
pub(crate) use image::{GoferFsImage, InUse};
pub(crate) use inode::GoferInode;
