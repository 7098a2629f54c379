//! Buckets and waiters.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cloister_sync::{Lock, LockGuard, class};
use smallvec::SmallVec;

use super::FutexKey;
use crate::error::Errno;
use crate::event::{Events, Wake};
use crate::fs::Inode;
use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::prelude::errno;
use crate::task::{Held, HeldImage, Pid, Task};

/// The number of buckets.
const BUCKETS: usize = 256;
/// The most waiters of a call (`FUTEX_WAITV_MAX`).
const MAX_WAITERS: usize = 128;
/// The place of a waiter that was woken.
const WOKEN: usize = usize::MAX;
/// The place of a waiter that is in no bucket and was not woken.
const NOWHERE: usize = usize::MAX - 1;

/// Somebody who waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) task: Arc<Task>,
    /// Which wake-ups it is for (`FUTEX_WAIT_BITSET`).
    pub(super) bitset: u32,
    /// The lock that it waits for, if the kernel hands it over.
    pub(super) pi: Option<PiWait>,
    /// The number of its bucket, [`WOKEN`] or [`NOWHERE`]; changes only with the bucket locked.
    place: AtomicUsize,
}

/// A wait for a lock that the kernel hands over.
#[derive(Debug)]
pub(super) struct PiWait {
    /// Where the word is for the waiter.
    pub(super) mm: Arc<Mm>,
    /// Its address there.
    pub(super) address: u64,
    /// The waiter's id, as the word will have it.
    pub(super) tid: Pid,
}

impl Waiter {
    pub(super) fn new(task: &Arc<Task>, bitset: u32, pi: Option<PiWait>) -> Arc<Self> {
        Arc::new(Self { task: Arc::clone(task), bitset, pi, place: AtomicUsize::new(NOWHERE) })
    }

    /// Returns whether it was woken.
    pub(super) fn is_woken(&self) -> bool {
        self.place.load(Ordering::Acquire) == WOKEN
    }
}

#[derive(Debug)]
struct Entry {
    key: FutexKey,
    waiter: Arc<Waiter>,
}

/// The waiters of some futexes, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    number: usize,
    entries: Vec<Entry>,
}

/// Waiters that were taken out of their buckets, to be woken without a lock.
pub(super) type Woken = SmallVec<[Arc<Waiter>; 4]>;

/// Lets the tasks of `woken` go on.
pub(super) fn wake_tasks(woken: Woken) {
    for waiter in woken {
        let task: Arc<dyn Wake> = Arc::clone(&waiter.task) as Arc<_>;
        task.wake(Events::IN);
    }
}

impl Bucket {
    /// Adds a waiter.
    pub(super) fn push(&mut self, key: FutexKey, waiter: &Arc<Waiter>) {
        waiter.place.store(self.number, Ordering::Release);
        self.entries.push(Entry { key, waiter: Arc::clone(waiter) });
    }

    /// Takes out up to `count` waiters of `key` that `is_meant` chooses, as woken.
    pub(super) fn wake(
        &mut self,
        key: &FutexKey,
        count: usize,
        mut is_meant: impl FnMut(&Waiter) -> bool,
        woken: &mut Woken,
    ) -> usize {
        let before = woken.len();
        if count == 0 || self.entries.is_empty() {
            return 0;
        }
        self.entries.retain(|entry| {
            let is_due = woken.len() - before < count && entry.key == *key && is_meant(&entry.waiter);
            if is_due {
                entry.waiter.place.store(WOKEN, Ordering::Release);
                woken.push(Arc::clone(&entry.waiter));
            }
            !is_due
        });
        woken.len() - before
    }

    /// Takes out up to `count` waiters of `key`, to be added to another bucket.
    pub(super) fn take(&mut self, key: &FutexKey, count: usize) -> Woken {
        let mut taken = Woken::new();
        self.entries.retain(|entry| {
            let is_taken = taken.len() < count && entry.key == *key;
            if is_taken {
                taken.push(Arc::clone(&entry.waiter));
            }
            !is_taken
        });
        taken
    }

    /// Returns the waiters of `key`.
    pub(super) fn waiters(&self, key: &FutexKey) -> impl Iterator<Item = &Arc<Waiter>> {
        self.entries.iter().filter(move |entry| entry.key == *key).map(|entry| &entry.waiter)
    }

    /// Returns the keys of all waiters for locks that the kernel hands over, with the waiters.
    pub(super) fn pi_waiters(&self) -> impl Iterator<Item = (FutexKey, &PiWait)> {
        self.entries.iter().filter_map(|entry| Some((entry.key, entry.waiter.pi.as_ref()?)))
    }
}

/// All who wait for futexes.
#[derive(Debug)]
pub(crate) struct FutexTable {
    buckets: Vec<Lock<Bucket, { class::FUTEX }>>,
    /// Guests choose the keys: the hash is not one that they can foresee.
    hasher: RandomState,
    /// How many waiters for locks that the kernel hands over there may be.
    pub(super) pi_waiters: AtomicUsize,
}

impl Default for FutexTable {
    fn default() -> Self {
        let buckets = (0..BUCKETS).map(|number| Lock::new(Bucket { number, entries: Vec::new() }));
        Self { buckets: buckets.collect(), hasher: RandomState::new(), pi_waiters: AtomicUsize::new(0) }
    }
}

/// The locked buckets of two keys, which may be one.
pub(super) struct TwoBuckets<'a> {
    first: LockGuard<'a, Bucket>,
    second: Option<LockGuard<'a, Bucket>>,
}

impl TwoBuckets<'_> {
    /// Returns the first key's.
    pub(super) fn first(&mut self) -> &mut Bucket {
        &mut self.first
    }

    /// Returns the second key's.
    pub(super) fn second(&mut self) -> &mut Bucket {
        self.second.as_mut().unwrap_or(&mut self.first)
    }
}

impl FutexTable {
    fn bucket(&self, key: &FutexKey) -> &Lock<Bucket, { class::FUTEX }> {
        let hash = self.hasher.hash_one(key);
        let index = usize::try_from(hash % BUCKETS as u64).unwrap_or(0);
        self.buckets.get(index).expect("there are `BUCKETS` buckets")
    }

    /// Locks the bucket of a key.
    pub(super) fn lock(&self, key: &FutexKey) -> LockGuard<'_, Bucket> {
        self.bucket(key).lock()
    }

    /// Locks the buckets of two keys.
    pub(super) fn lock_two(&self, first: &FutexKey, second: &FutexKey) -> TwoBuckets<'_> {
        let (first, second) = (self.bucket(first), self.bucket(second));
        if std::ptr::eq(first, second) {
            return TwoBuckets { first: first.lock(), second: None };
        }
        let (first, second) = Lock::pair(first, second);
        TwoBuckets { first, second: Some(second) }
    }

    /// Returns all buckets.
    pub(super) fn buckets(&self) -> impl Iterator<Item = &Lock<Bucket, { class::FUTEX }>> {
        self.buckets.iter()
    }

    /// Takes a waiter out of its bucket. Returns whether it was in one; otherwise it was woken, or never waited.
    fn cancel(&self, waiter: &Arc<Waiter>) -> bool {
        loop {
            // A requeue may move it before its bucket is locked.
            let place = waiter.place.load(Ordering::Acquire);
            let Some(bucket) = self.buckets.get(place) else { return false };
            let mut bucket = bucket.lock();
            if waiter.place.load(Ordering::Acquire) == place {
                bucket.entries.retain(|entry| !Arc::ptr_eq(&entry.waiter, waiter));
                waiter.place.store(NOWHERE, Ordering::Release);
                return true;
            }
        }
    }
}

/// The waiters of a call that waits; those that are left in their buckets are taken out when this is dropped.
pub(in crate::task) struct Wait {
    kernel: Arc<Kernel>,
    pub(super) waiters: SmallVec<[Arc<Waiter>; 1]>,
}

impl Wait {
    /// Begins without waiters.
    pub(super) fn new(kernel: &Arc<Kernel>) -> Self {
        Self { kernel: Arc::clone(kernel), waiters: SmallVec::new() }
    }

    /// Makes the wait of a call of `task` whose waiter `woken` was woken, as it was saved.
    ///
    /// # Errors
    ///
    /// `EINVAL` if no call has so many waiters.
    pub(in crate::task) fn restore_woken(task: &Arc<Task>, woken: usize) -> Result<Self, Errno> {
        if woken >= MAX_WAITERS {
            return Err(errno::EINVAL);
        }
        let mut wait = Self::new(task.kernel());
        wait.waiters.extend((0..=woken).map(|_| Waiter::new(task, u32::MAX, None)));
        if let Some(last) = wait.waiters.last() {
            last.place.store(WOKEN, Ordering::Release);
        }
        Ok(wait)
    }

    /// Returns which of the waiters was woken first in the order of the call's futexes.
    pub(super) fn woken(&self) -> Option<usize> {
        self.waiters.iter().position(|waiter| waiter.is_woken())
    }

    /// Takes the waiters out of their buckets. Returns which of them was woken before that.
    pub(super) fn cancel(self) -> Option<usize> {
        for waiter in &self.waiters {
            self.kernel.futexes.cancel(waiter);
        }
        self.woken()
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").field("waiters", &self.waiters).finish_non_exhaustive()
    }
}

impl Held for Wait {
    /// A waiter that was not woken is not saved: its call begins anew, as after a wake-up without cause.
    fn to_image(&self, _inode_id: &dyn Fn(&Arc<dyn Inode>) -> u64) -> HeldImage {
        HeldImage::Futex { woken: self.woken() }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        for waiter in &self.waiters {
            self.kernel.futexes.cancel(waiter);
            if waiter.pi.is_some() {
                self.kernel.futexes.pi_waiters.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}
