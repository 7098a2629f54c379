//! Overlays: writes in memory above a tree that stays as it is.
//!
//! The upper layer is not a second tree, as in Linux' overlayfs, but what has changed of the lower one: an object that
//! was written, or made here, has an inode of a tmpfs behind it; a directory whose names changed has a map of those that
//! differ. So a change deep in the tree copies nothing above it, a renamed directory keeps its lower contents without a
//! redirection, and hard links stay links when one of them is written.
//!
//! | state | is |
//! |---|---|
//! | [`OverlayInode`] | an object: its lower inode if it has one, its upper inode once it was changed |
//! | `names.rs` | the names of a directory that differ from the lower ones |
//! | `copy_up.rs` | the first change of a lower object |
//! | `open_directory.rs` | listings of both layers |
//!
//! What changed is kept for as long as it has a name ([`OverlayFs::pin`]); everything else can be made again from below.
//!
//! # Locking
//!
//! [`class::COPY_UP`](cloister_sync::class::COPY_UP) is held while an object is copied up, so that it is done once.
//! [`class::UPPER_INODE`](cloister_sync::class::UPPER_INODE) protects an object's state: whoever looks at it meanwhile sees
//! what is below. [`class::OVERLAY`](cloister_sync::class::OVERLAY) protects the table of
//! objects; nothing is dropped under it.

mod copy_up;
mod file_system;
mod image;
mod inode;
mod names;
mod open_directory;
#[cfg(test)]
mod tests;

pub(crate) use file_system::OverlayFs;
pub(crate) use image::OverlayImage;
pub(crate) use inode::OverlayInode;
