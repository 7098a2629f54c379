//! The wait of a `vfork` for its child.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::event::{Events, WaitQueue};

/// Whether a task's maker waits until it executes a program or ends (`vfork(2)`).
#[derive(Debug, Default)]
pub(crate) struct Vfork {
    pending: AtomicBool,
    queue: WaitQueue,
}

impl Vfork {
    /// Says whether the maker will wait.
    pub(super) fn set_pending(&self, pending: bool) {
        self.pending.store(pending, Ordering::Release);
    }

    /// Lets the maker go on: the task has another address space, or none.
    pub(crate) fn release(&self) {
        if self.pending.swap(false, Ordering::AcqRel) {
            self.queue.wake(Events::IN);
        }
    }

    /// Returns whether the maker still waits.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.load(Ordering::Acquire)
    }

    /// Returns the queue that is woken by the release.
    pub(crate) fn queue(&self) -> &WaitQueue {
        &self.queue
    }
}
