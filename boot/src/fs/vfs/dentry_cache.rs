//! What keeps unused dentries, up to a bound.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cloister_sync::{Lock, class};
use smallvec::SmallVec;

use super::{Absent, Dentry};

/// A ring of names that are kept though nobody may be using them: when it is full, the hand goes round, and drops the
/// first that was not used since it last came by.
#[derive(Debug)]
pub(crate) struct DentryCache {
    bound: AtomicUsize,
    ring: Lock<Ring, { class::DENTRY_LRU }>,
}

#[derive(Debug, Default)]
struct Ring {
    /// `None` where a name was released early.
    slots: VecDeque<Option<Kept>>,
    /// The number of the first slot: slots are numbered for ever.
    first: u64,
}

#[derive(Debug)]
enum Kept {
    Is(Arc<Dentry>),
    IsNot(Arc<Absent>),
}

impl Kept {
    fn take_used(&self) -> bool {
        match self {
            Self::Is(dentry) => dentry.take_used(),
            Self::IsNot(absent) => absent.take_used(),
        }
    }
}

impl DentryCache {
    /// The bound unless the user gives one with `--dcache`.
    pub(crate) const DEFAULT_BOUND: usize = 16 * 1024;

    /// What a dentry that is not kept has for its slot.
    pub(super) const NOWHERE: u64 = u64::MAX;

    /// Makes a cache that keeps at most `bound` names.
    pub(crate) fn new(bound: usize) -> Self {
        Self { bound: AtomicUsize::new(bound), ring: Lock::default() }
    }

    /// Changes the bound; names that are too many go with the next ones that come.
    pub(crate) fn set_bound(&self, bound: usize) {
        self.bound.store(bound, Ordering::Relaxed);
    }

    /// Returns how many names are kept.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.ring.lock().slots.iter().flatten().count()
    }

    /// Drops all names that nobody is using.
    pub(crate) fn clear(&self) {
        let slots = {
            let mut ring = self.ring.lock();
            ring.first += ring.slots.len() as u64;
            std::mem::take(&mut ring.slots)
        };
        drop(slots);
    }

    pub(super) fn keep(&self, dentry: &Arc<Dentry>) {
        self.push(Kept::Is(Arc::clone(dentry)));
    }

    pub(super) fn keep_absent(&self, absent: Arc<Absent>) {
        self.push(Kept::IsNot(absent));
    }

    /// Keeps `dentry` no longer.
    pub(super) fn release(&self, dentry: &Dentry) {
        let mut ring = self.ring.lock();
        let number = dentry.kept_at.swap(Self::NOWHERE, Ordering::Relaxed);
        let Some(index) = number.checked_sub(ring.first).and_then(|index| usize::try_from(index).ok()) else {
            return;
        };
        let released = ring.slots.get_mut(index).and_then(Option::take);
        drop(ring);
        drop(released);
    }

    fn push(&self, kept: Kept) {
        let bound = self.bound.load(Ordering::Relaxed);
        // Dropped without the lock: the last reference to an inode may do much.
        let mut evicted = SmallVec::<[Kept; 2]>::new();
        let mut ring = self.ring.lock();
        ring.push(kept);
        let mut chances = ring.slots.len();
        while ring.slots.len() > bound {
            let Some(oldest) = ring.pop() else { continue };
            if chances > 0 && oldest.take_used() {
                ring.push(oldest);
            } else {
                evicted.push(oldest);
            }
            chances = chances.saturating_sub(1);
        }
        drop(ring);
        drop(evicted);
    }
}

impl Ring {
    fn push(&mut self, kept: Kept) {
        let number = self.first + self.slots.len() as u64;
        if let Kept::Is(dentry) = &kept {
            dentry.kept_at.store(number, Ordering::Relaxed);
        }
        self.slots.push_back(Some(kept));
    }

    /// Takes the oldest out; `None` if it was released.
    fn pop(&mut self) -> Option<Kept> {
        let kept = self.slots.pop_front()?;
        self.first += 1;
        if let Some(Kept::Is(dentry)) = &kept {
            dentry.kept_at.store(DentryCache::NOWHERE, Ordering::Relaxed);
        }
        kept
    }
}

impl Default for DentryCache {
    fn default() -> Self {
        Self::new(Self::DEFAULT_BOUND)
    }
}
