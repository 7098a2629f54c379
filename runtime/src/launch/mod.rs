//! Starting a sandbox's processes, each behind its own walls.
//!
//! [`Plan`] says what a process gets: namespaces, ids, a root made of nothing but what is bound into it, capabilities,
//! descriptors, program. [`Pending`] is a process on its way there, [`Process`] one that has arrived: both kill it when
//! they are dropped, so that a failure anywhere leaves nothing behind.
//!
//! | process | plan made by |
//! |---|---|
//! | `cloister-boot` | [`boot`] |
//! | `cloister-gofer` | [`gofer`] |
//!
//! The way from the fork to the program is in `child`: it runs in a copy of this process where other threads may have
//! held locks, so everything is prepared before the fork, and the child does nothing but system calls.

mod binary;
pub mod boot;
mod child;
mod error;
pub mod gofer;
mod idmap;
mod oom;
mod plan;
mod process;
mod spawn;
mod sys;

pub use binary::{Binaries, Binary};
pub use error::LaunchError;
pub use oom::OomScores;
pub use plan::{Bind, HostLimits, Identity, Plan, Root};
pub use process::{Exit, Process};
pub use spawn::Pending;
pub(crate) use sys::close_on_exec_from;
