//! Signals (`signal(7)`).
//!
//! A signal is *sent* ([`mod@send`]): it is dropped, or queued for a task or a process, and somebody who takes it is woken;
//! `SIGKILL`, and what stop signals and `SIGCONT` do to each other, happen at once. It is *delivered* by the worker of the
//! task that takes it, on the way back to guest code ([`before_user`]): by a default action, or by a frame on the guest's
//! stack for its handler. What becomes of a system call that it interrupted is decided there too.
//!
//! | state | is in |
//! |---|---|
//! | what signals do | [`SignalActions`], shared by tasks (`CLONE_SIGHAND`) |
//! | mask, own pending signals, alternate stack | [`TaskSignals`] |
//! | pending signals of the process, job control | [`GroupSignals`] |
//!
//! # Locking
//!
//! The process tree, then the thread group, then the actions, then the tasks. Who sends holds the tree's lock, so that
//! the tasks of a group stay what they are; no two groups are locked at once.

mod action;
mod alt_stack;
mod child;
mod deliver;
mod force;
mod fpu;
mod frame;
mod info;
mod mask;
mod pending;
mod permission;
mod restart;
mod send;
mod set;
mod signal_fd;
mod state;
mod stop;

use mask::take_for;

pub(crate) use action::{Action, ActionTable, Handler, SignalActions};
pub(crate) use alt_stack::AltStack;
pub(crate) use child::{notify_parent_of_exit, on_parent_exit};
pub(crate) use deliver::{BeforeUser, before_user, has_deliverable};
pub(crate) use force::{force, on_exception, on_host_kill};
pub(crate) use frame::pop as pop_frame;
pub(crate) use info::{SI_TKILL, SignalInfo};
pub(crate) use pending::{PendingSignals, Sent};
pub(crate) use permission::check as check_permission;
pub(crate) use send::{Origin, Target, send, send_from_outside, send_to_task};
pub(crate) use set::{Signal, SignalSet};
pub(crate) use signal_fd::{SignalFd, SignalFdImage};
pub(crate) use state::{GroupSignals, TaskSignals};
pub(crate) use stop::{groups_held, is_orphaned, is_stopped, on_task_gone, wake_orphaned_groups};
