//! Wait queues: who is told when an object's condition changes.
//!
//! A waiter registers *before* it looks at the condition for the last time, and the object changes its condition
//! *before* it wakes the queue; so no wake-up is lost, whatever the order of the two.
//!
//! Waiters are shared or exclusive. A *shared* one looks at the condition (`poll`, an epoll instance): it is told of
//! everything. An *exclusive* one uses the condition up (a blocked `read` takes the bytes): [`WaitQueue::wake_one`]
//! tells only one of these, the one that waits longest, and whoever leaves something over tells the next
//! ([`WaitQueue::wake_next`]).
//!
//! # Locking
//!
//! A queue's own lock is [`class::WAIT_QUEUE`], nearly the innermost: queues may be woken under an object's lock. It is
//! not held while a waiter is told, so that an epoll instance can wake its own waiters in turn. A waiter can therefore
//! be told once more just after its registration was dropped.

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
    is_exclusive: bool,
    waker: Arc<dyn Wake>,
}

#[derive(Default)]
struct Entries {
    next_id: u64,
    /// In the order of their ids.
    list: SmallVec<[Entry; 1]>,
}

impl Entries {
    fn collect(&self, chosen: impl Fn(&Entry) -> bool) -> SmallVec<[Arc<dyn Wake>; 4]> {
        self.list.iter().filter(|entry| chosen(entry)).map(|entry| Arc::clone(&entry.waker)).collect()
    }

    /// Returns the first exclusive waiter whose id is not below `from` and that waits for one of `events`, with its id.
    fn next_exclusive(&self, from: u64, events: Events) -> Option<(u64, Arc<dyn Wake>)> {
        let is_meant =
            |entry: &&Entry| entry.id >= from && entry.is_exclusive && entry.mask.intersects(events);
        self.list.iter().find(is_meant).map(|entry| (entry.id, Arc::clone(&entry.waker)))
    }
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

    /// Adds the shared waiter `waker`, to be told of the conditions in `mask` (and of [`Events::ALWAYS`]), until the
    /// registration is dropped.
    #[must_use = "the registration ends when it is dropped"]
    pub(crate) fn register(&self, mask: Events, waker: Arc<dyn Wake>) -> Registration {
        self.add(mask, false, waker)
    }

    /// As [`WaitQueue::register`], for an exclusive waiter.
    #[must_use = "the registration ends when it is dropped"]
    pub(crate) fn register_exclusive(&self, mask: Events, waker: Arc<dyn Wake>) -> Registration {
        self.add(mask, true, waker)
    }

    fn add(&self, mask: Events, is_exclusive: bool, waker: Arc<dyn Wake>) -> Registration {
        let mut entries = self.entries.lock();
        let id = entries.next_id;
        entries.next_id += 1;
        entries.list.push(Entry { id, mask: mask | Events::ALWAYS, is_exclusive, waker });
        Registration { queue: self.clone(), id }
    }

    /// Tells all waiters that wait for one of `events`.
    pub(crate) fn wake(&self, events: Events) {
        let waiters = self.entries.lock().collect(|entry| entry.mask.intersects(events));
        for waker in waiters {
            waker.wake(events);
        }
    }

    /// Tells all shared waiters that wait for one of `events`, and exclusive ones in their order until one uses the
    /// wake-up up. Returns whether one did.
    pub(crate) fn wake_one(&self, events: Events) -> bool {
        let (shared, exclusive) = {
            let entries = self.entries.lock();
            let shared = entries.collect(|entry| !entry.is_exclusive && entry.mask.intersects(events));
            (shared, entries.next_exclusive(0, events))
        };
        for waker in shared {
            waker.wake(events);
        }
        self.wake_exclusive(exclusive, events)
    }

    /// Tells exclusive waiters in their order until one uses the wake-up up: something was left over that concerns
    /// them, but is no news for shared waiters. Returns whether one did.
    pub(crate) fn wake_next(&self, events: Events) -> bool {
        let first = self.entries.lock().next_exclusive(0, events);
        self.wake_exclusive(first, events)
    }

    /// Tells the exclusive waiter `next` and those after it until one uses the wake-up up. Returns whether one did.
    fn wake_exclusive(&self, mut next: Option<(u64, Arc<dyn Wake>)>, events: Events) -> bool {
        while let Some((id, waker)) = next {
            if waker.wake(events) {
                return true;
            }
            next = self.entries.lock().next_exclusive(id + 1, events);
        }
        false
    }

    /// Returns whether nobody waits.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.lock().list.is_empty()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut entries = self.queue.entries.lock();
        if let Ok(at) = entries.list.binary_search_by_key(&self.id, |entry| entry.id) {
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
        let _registrations =
            counters.clone().map(|c| queue.register_exclusive(Events::IN, c as Arc<dyn Wake>));
        assert!(queue.wake_one(Events::IN) && queue.wake_one(Events::IN));
        assert!(!queue.wake_one(Events::IN));
    }

    #[test]
    fn wake_one_tells_all_that_only_look() {
        let queue = WaitQueue::new();
        let [looks, takes, also_takes] = [(); 3].map(|()| Arc::new(Counter::default()));
        let _looks = queue.register(Events::IN, Arc::clone(&looks) as Arc<dyn Wake>);
        let _takes = queue.register_exclusive(Events::IN, Arc::clone(&takes) as Arc<dyn Wake>);
        let _also_takes = queue.register_exclusive(Events::IN, Arc::clone(&also_takes) as Arc<dyn Wake>);
        assert!(queue.wake_one(Events::IN));
        assert!(queue.wake_next(Events::IN));
        let told = [looks, takes, also_takes].map(|counter| counter.0.load(Ordering::Relaxed));
        // The second exclusive waiter is told after the first one passed the wake-up on.
        assert_eq!(told, [1, 2, 1]);
    }

    /// Passes wake-ups on to another queue, as an epoll instance does.
    struct Relay(WaitQueue);

    impl Wake for Relay {
        fn wake(self: Arc<Self>, events: Events) -> bool {
            self.0.wake(events);
            false
        }
    }

    #[test]
    fn a_waiter_may_wake_a_queue() {
        let (inner, outer, counter) = (WaitQueue::new(), WaitQueue::new(), Arc::new(Counter::default()));
        let _relay = inner.register(Events::IN, Arc::new(Relay(outer.clone())));
        let _counter = outer.register(Events::IN, Arc::clone(&counter) as Arc<dyn Wake>);
        inner.wake(Events::IN);
        assert_eq!(counter.0.load(Ordering::Relaxed), 1);
    }
}
