//! System call filters of guests (`seccomp(2)`), and of a container's configuration.
//!
//! Every task has a [`Seccomp`]: a mode, and in filter mode the [`Filters`] that were installed, which are shared with the
//! tasks that it makes. A filter is a program that the [`cloister_bpf`] crate has checked. A call is looked at once, when it
//! begins ([`check()`]), not again when it goes on after a wait.
//!
//! # Locking
//!
//! A task's mode changes with the process tree locked: so all threads of a process can be given filters together
//! (`SECCOMP_FILTER_FLAG_TSYNC`), and a new thread is either among them or a copy of its maker as it is then.

mod action;
mod check;
mod filters;
mod image;
mod install;
mod state;

pub(crate) use action::Action;
pub(crate) use check::check;
pub(crate) use filters::{Filter, Filters};
pub(crate) use image::{FilterImage, ModeImage};
pub(crate) use install::{Sync, install, set_strict};
pub(crate) use state::{Mode, Seccomp};
