//! tmpfs (`tmpfs(5)`): files in memory. Also what `memfd_create(2)` makes, and the upper layer of overlays.
//!
//! Small files live in the kernel's own memory; a file that grows beyond [`INLINE_MAX`](data::INLINE_MAX), has holes or
//! is mapped moves to a memfd of the host, which is what mappings show.
//!
//! # Locking
//!
//! One lock for each inode, [`class::INODE`](cloister_sync::class::INODE), over its attributes and its contents; never
//! two at a time. That a change of names in two directories is seen as one is the virtual file system's work.

mod data;
mod directory;
mod file;
mod file_system;
mod image;
mod inode;
mod memfd;
mod state;
mod xattrs;

pub(crate) use file_system::{Tmpfs, TmpfsOptions};
pub(crate) use image::TmpfsImage;
pub(crate) use inode::TmpfsInode;
pub(crate) use memfd::{MemfdMount, Seals};
