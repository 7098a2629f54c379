//! `inotify(7)`: what happens to files, told to a program.
//!
//! The virtual file system tells the [`Watch`](watch::Watch)es of an inode; a watch puts what it is for into the queue of
//! its [`Inotify`] instance. A watch keeps the dentry that it was made by, so that the inode and its other watches stay.
//!
//! # Locking
//!
//! One lock for each instance, [`class::STREAM`](cloister_sync::class::STREAM). Watches are dropped without it.
//!
//! # Snapshot
//!
//! [`image::InotifyImage`] holds what was not read yet, and the watches with the names that they were made by.

mod image;
mod instance;
mod queue;
mod watch;

pub(crate) use image::InotifyImage;
pub(crate) use instance::Inotify;
pub(crate) use queue::WatchMask;
