//! Signals (`signal(7)`).

mod deliver;
mod notify;
mod pending;
mod set;

pub(crate) use deliver::{
    BeforeUser, before_user, has_deliverable, on_exception, on_host_kill, send_to_group,
};
pub(crate) use notify::{notify_parent_of_exit, on_parent_exit};
pub(crate) use pending::{GroupSignals, PendingSignals, SignalInfo, TaskSignals};
pub(crate) use set::{Signal, SignalSet};

use cloister_sync::{Lock, class};

/// What signals do to the tasks that share this (`sigaction(2)`).
#[derive(Debug, Default)]
pub(crate) struct SignalActions {
    actions: Lock<Vec<u64>, { class::SIGNAL_ACTIONS }>,
}

impl SignalActions {
    /// Returns a copy of `other`, for a fork.
    pub(crate) fn copy_of(other: &Self) -> Self {
        Self { actions: Lock::new(other.actions.lock().clone()) }
    }
}
