//! The file system of pseudo-terminals (`pts(4)`): a name for each, and `ptmx`, which makes one.
//!
//! Every mount is an instance of its own. An instance also has names for terminals of the host that processes were given as
//! their standard files ([`adopt_terminals`]): `ttyname(3)` finds them, and they can be opened again.
//!
//! # Locking
//!
//! The table of names is [`class::STREAM`](cloister_sync::class::STREAM): the last close of a master, which can happen under
//! many locks, removes a name. The attributes of an inode are [`class::INODE`](cloister_sync::class::INODE). Neither is held
//! while another lock is taken.
//!
//! # Snapshot
//!
//! [`DevptsImage`] holds the options and the names; the terminals are saved by themselves
//! ([`PtyImage`](crate::tty::PtyImage)).

mod adopt;
mod directory;
mod file_system;
mod image;
mod node;
mod ptmx;

pub(crate) use adopt::{adopt_terminals, has_named};
pub(crate) use directory::Directory;
pub(crate) use file_system::{Devpts, DevptsOptions};
pub(crate) use image::DevptsImage;
pub(crate) use ptmx::open as open_ptmx;
