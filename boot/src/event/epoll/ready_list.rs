//! The interests of an epoll instance that may have something to report.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use cloister_sync::{Lock, class};

use super::interest::Interest;
use crate::event::{Events, WaitQueue};

/// The interests of an epoll instance that may have something to report, those told longest ago first.
#[derive(Debug, Default)]
pub(super) struct ReadyList {
    list: Lock<VecDeque<Arc<Interest>>, { class::EPOLL_READY }>,
    /// Those in `epoll_wait`.
    pub(super) waiters: WaitQueue,
    /// Those who poll the instance itself.
    pub(super) pollers: WaitQueue,
}

impl ReadyList {
    /// Appends `interest` if it is not in the list, and tells those who wait. Returns whether this woke one.
    pub(super) fn push(&self, interest: &Arc<Interest>) -> bool {
        if !self.insert(interest) {
            return false;
        }
        self.pollers.wake(Events::READABLE);
        self.waiters.wake_one(Events::READABLE)
    }

    /// Appends `interest` if it is not in the list, and tells nobody.
    pub(super) fn insert(&self, interest: &Arc<Interest>) -> bool {
        let mut list = self.list.lock();
        let is_new = !interest.is_queued.swap(true, Ordering::Relaxed);
        if is_new {
            list.push_back(Arc::clone(interest));
        }
        is_new
    }

    /// Takes the first interest out.
    pub(super) fn pop(&self) -> Option<Arc<Interest>> {
        let mut list = self.list.lock();
        let interest = list.pop_front()?;
        interest.is_queued.store(false, Ordering::Relaxed);
        Some(interest)
    }

    /// Returns the `at`-th interest.
    pub(super) fn get(&self, at: usize) -> Option<Arc<Interest>> {
        self.list.lock().get(at).cloned()
    }

    pub(super) fn len(&self) -> usize {
        self.list.lock().len()
    }

    /// Removes `interest`.
    pub(super) fn remove(&self, interest: &Arc<Interest>) {
        let mut list = self.list.lock();
        if interest.is_queued.swap(false, Ordering::Relaxed) {
            list.retain(|other| !Arc::ptr_eq(other, interest));
        }
    }
}
