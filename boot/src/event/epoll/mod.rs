//! `epoll(7)`: waiting for many files, at a cost that depends only on those that are ready.
//!
//! ```text
//! file's wait queue ──wakes──> Interest ──queues itself──> ReadyList ──wakes──> epoll_wait, and those who poll it
//! ```
//!
//! An interest that was told something stands in the ready list until `epoll_wait` takes it out, looks at the file, and
//! (unless it is edge-triggered) puts it back if there was something. It is taken out *before* the file is looked at, so
//! what happens in between puts it in again: no edge is lost.
//!
//! A file is known by its description and descriptor. The instance does not keep it open: an interest whose file is gone
//! reports nothing and is swept out as others are added.
//!
//! # Locking
//!
//! [`class::EPOLL`](cloister_sync::class::EPOLL) protects the interests; [`class::EPOLL_READY`] the ready list, and the
//! setting of each interest. Files are looked at with neither held. Instances can watch each other:
//! [`class::EPOLL_NESTING`] is held while one is added to another, so that loops and chains of more than
//! [`MAX_NESTING`](nesting::MAX_NESTING) never come to be; thus the recursion of wake-ups and looks is bounded.
//!
//! [`class::EPOLL_READY`]: cloister_sync::class::EPOLL_READY
//! [`class::EPOLL_NESTING`]: cloister_sync::class::EPOLL_NESTING
//!
//! # Snapshot
//!
//! [`image::EpollImage`] holds the interests; what is ready is found by looking again.

mod image;
mod instance;
mod interest;
mod nesting;
mod ready_list;
#[cfg(test)]
mod tests;

pub(crate) use image::EpollImage;
pub(crate) use instance::{Epoll, Report};
#[cfg(test)]
use interest::EpollFlags;
pub(crate) use interest::Setting;
pub(crate) use nesting::Nesting;
