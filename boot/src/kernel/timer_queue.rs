//! What is to happen at a time.
//!
//! # Locking
//!
//! The queue's lock is [`class::TIMER_QUEUE`]; it is not held while a timer expires, so an expired timer may take
//! any lock and set itself again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};

use cloister_sync::{Lock, class};

use crate::time::Instant;

/// Something that happens at a time.
pub(crate) trait Expire: Send + Sync {
    /// Called once the time is reached; `now` may be later than that.
    fn expire(self: Arc<Self>, now: Instant);
}

#[derive(Default)]
struct Timers {
    next_id: u64,
    queue: BTreeMap<(Instant, u64), Weak<dyn Expire>>,
}

/// The timers of the sandbox in the order of their times.
#[derive(Default)]
pub(crate) struct TimerQueue {
    timers: Lock<Timers, { class::TIMER_QUEUE }>,
}

/// A set timer; it is cancelled when this is dropped.
#[must_use = "the timer is cancelled when this is dropped"]
pub(crate) struct TimerHandle {
    queue: Arc<TimerQueue>,
    key: (Instant, u64),
}

impl TimerQueue {
    /// Lets `timer` expire at `deadline`, unless it is gone or the handle is dropped by then.
    pub(crate) fn set(self: &Arc<Self>, deadline: Instant, timer: Weak<dyn Expire>) -> TimerHandle {
        let mut timers = self.timers.lock();
        let key = (deadline, timers.next_id);
        timers.next_id += 1;
        timers.queue.insert(key, timer);
        TimerHandle { queue: Arc::clone(self), key }
    }

    /// Lets all timers expire whose time is reached by `now`. Returns when the next one is due.
    pub(crate) fn expire_due(&self, now: Instant) -> Option<Instant> {
        loop {
            let timer = {
                let mut timers = self.timers.lock();
                let entry = timers.queue.first_entry()?;
                if entry.key().0 > now {
                    return Some(entry.key().0);
                }
                entry.remove()
            };
            if let Some(timer) = timer.upgrade() {
                timer.expire(now);
            }
        }
    }
}

impl Drop for TimerHandle {
    fn drop(&mut self) {
        let removed = self.queue.timers.lock().queue.remove(&self.key);
        drop(removed);
    }
}

impl fmt::Debug for TimerQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerQueue").finish_non_exhaustive()
    }
}

impl fmt::Debug for TimerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerHandle").field("deadline", &self.key.0).finish_non_exhaustive()
    }
}
