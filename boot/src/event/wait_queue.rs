//! Wait queues: who is told when an object's condition changes.
//!
//! A waiter registers *before* it looks at the condition for the last time, and the object changes its condition
//! *before* it wakes the queue; so no wake-up is lost, whatever the order of the two.
//!
//! # Locking
//!
//! A queue's own lock is [`class::WAIT_QUEUE`], nearly the innermost: queues may be woken under an object's lock.
//! [`Wake::wake`] is called with it held, so a waker takes only locks of higher classes.

use std::fmt;
use std::sync::Arc;

use cloister_sync::{Lock, class};
use smallvec::SmallVec;

use super::Events;

/// Somebody who can be told that a condition changed.
pub(crate) trait Wake: Send + Sync {
    /// Tells that the object now has `events`. Returns whether this used the wake-up up, as far as
    /// [`WaitQueue::wake_one`] counts: a waiter that was already woken by something else does not.
    fn wake(self: Arc<Self>, events: Events) -> bool;
}

struct Entry {
    id: u64,
    mask: Events,
    waker: Arc<dyn Wake>,
}

#[derive(Default)]
struct Entries {
    next_id: u64,
    list: SmallVec<[Entry; 1]>,
}

/// The waiters of an object. Clones are the same queue.
#[derive(Clone, Default)]
pub(crate) struct WaitQueue {
    entries: Arc<Lock<Entries, { class::WAIT_QUEUE }>>,
}

/// A place in a [`WaitQueue`], left when dropped.
pub(crate) struct Registration {
    queue: WaitQueue,
    id: u64,
}

impl WaitQueue {
    /// Returns an empty queue.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds `waker`, to be told of the conditions in `mask` (and of [`Events::ALWAYS`]), until the registration is
    /// dropped.
    #[must_use = "the registration ends when it is dropped"]
    pub(crate) fn register(&self, mask: Events, waker: Arc<dyn Wake>) -> Registration {
        let mut entries = self.entries.lock();
        let id = entries.next_id;
        entries.next_id += 1;
        entries.list.push(Entry { id, mask: mask | Events::ALWAYS, waker });
        Registration { queue: self.clone(), id }
    }

    /// Tells all waiters that wait for one of `events`.
    pub(crate) fn wake(&self, events: Events) {
        for entry in &self.entries.lock().list {
            if entry.mask.intersects(events) {
                Arc::clone(&entry.waker).wake(events);
            }
        }
    }

    /// Tells waiters in their order until one uses the wake-up up. Returns whether one did.
    pub(crate) fn wake_one(&self, events: Events) -> bool {
        self.entries
            .lock()
            .list
            .iter()
            .any(|entry| entry.mask.intersects(events) && Arc::clone(&entry.waker).wake(events))
    }

    /// Returns whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.lock().list.is_empty()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut entries = self.queue.entries.lock();
        if let Some(at) = entries.list.iter().position(|entry| entry.id == self.id) {
            // The waker may own the last reference to something big: drop it without the lock.
            let entry = entries.list.remove(at);
            drop(entries);
            drop(entry);
        }
    }
}

impl fmt::Debug for WaitQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitQueue").finish_non_exhaustive()
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicU32);

    impl Wake for Counter {
        fn wake(self: Arc<Self>, _events: Events) -> bool {
            self.0.fetch_add(1, Ordering::Relaxed) == 0
        }
    }

    #[test]
    fn only_the_mask_and_hang_ups_wake() {
        let (queue, counter) = (WaitQueue::new(), Arc::new(Counter::default()));
        let registration = queue.register(Events::IN, Arc::clone(&counter) as Arc<dyn Wake>);
        queue.wake(Events::OUT);
        assert_eq!(counter.0.load(Ordering::Relaxed), 0);
        queue.wake(Events::IN);
        queue.wake(Events::HUP);
        assert_eq!(counter.0.load(Ordering::Relaxed), 2);
        drop(registration);
        assert!(queue.is_empty());
    }

    #[test]
    fn wake_one_passes_over_those_already_woken() {
        let queue = WaitQueue::new();
        let counters = [Arc::new(Counter::default()), Arc::new(Counter::default())];
        let _registrations = counters.clone().map(|c| queue.register(Events::IN, c as Arc<dyn Wake>));
        assert!(queue.wake_one(Events::IN) && queue.wake_one(Events::IN));
        assert!(!queue.wake_one(Events::IN));
    }
}
