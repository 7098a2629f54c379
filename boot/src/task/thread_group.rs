//! A thread group: what POSIX calls a process.

use cloister_sync::{Lock, LockGuard, class};

use super::{ExitStatus, Pid};
use crate::event::WaitQueue;
use crate::signal::GroupSignals;

/// A thread group: what POSIX calls a process. Its relations are in the
/// [`ProcessTree`](super::ProcessTree).
#[derive(Debug)]
pub(crate) struct ThreadGroup {
    tgid: Pid,
    state: Lock<GroupState, { class::THREAD_GROUP }>,
    /// Woken when a child changes its state (`wait4(2)`).
    pub(crate) child_events: WaitQueue,
    /// Woken when the group itself ends (pidfds, the control protocol's `Wait`).
    pub(crate) end_events: WaitQueue,
}

/// What the threads of a group share.
#[derive(Debug, Default)]
pub(crate) struct GroupState {
    /// Set once the group is to end: all its tasks leave with this status.
    pub(crate) exit: Option<ExitStatus>,
    /// Signals for any of its threads, and the job control state.
    pub(crate) signals: GroupSignals,
}

impl ThreadGroup {
    /// Makes a group without threads.
    pub(crate) fn new(tgid: Pid) -> Self {
        Self {
            tgid,
            state: Lock::new(GroupState::default()),
            child_events: WaitQueue::new(),
            end_events: WaitQueue::new(),
        }
    }

    /// Returns its id.
    pub(crate) fn tgid(&self) -> Pid {
        self.tgid
    }

    /// Returns access to what its threads share.
    pub(crate) fn state(&self) -> LockGuard<'_, GroupState> {
        self.state.lock()
    }
}
