//! Advisory locks: of records (`fcntl(2)`, "Advisory record locking" and "Open file description locks") and of whole files
//! (`flock(2)`).
//!
//! # Locking
//!
//! An inode's locks are under [`class::FILE_LOCKS`], and so is the sandbox's note of who waits for whom; the two are never
//! held together.

use std::collections::BTreeMap;

use cloister_sync::{Lock, class};
use serde::{Deserialize, Serialize};

use crate::event::{Events, WaitQueue};
use crate::task::Pid;

/// Who holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum LockOwner {
    /// A process: its descriptor table ([`FdTable::id`](super::FdTable::id)).
    Process(u64),
    /// An open file description ([`OpenFile::id`](super::OpenFile::id)).
    File(u64),
}

/// How far a lock excludes others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LockKind {
    /// Only exclusive locks of others.
    Shared,
    /// All locks of others.
    Exclusive,
}

/// A lock of a range of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordLock {
    /// Who holds it.
    pub(crate) owner: LockOwner,
    /// The process that took it; -1 for one of an open file description.
    pub(crate) pid: Pid,
    /// How far it excludes others.
    pub(crate) kind: LockKind,
    /// The first byte.
    pub(crate) first: u64,
    /// The last byte; `i64::MAX` for the end, wherever it is.
    pub(crate) last: u64,
}

/// The saved form of the locks of an inode.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileLocksImage {
    records: Vec<RecordLock>,
    whole: Vec<(u64, LockKind)>,
}

#[derive(Debug, Default)]
struct Locks {
    /// In the order of their first bytes, for each owner without overlaps.
    records: Vec<RecordLock>,
    /// Locks of the whole file, by open file description.
    whole: Vec<(u64, LockKind)>,
}

/// The locks of an inode.
#[derive(Debug, Default)]
pub(crate) struct FileLocks {
    locks: Lock<Locks, { class::FILE_LOCKS }>,
    /// Woken when a lock is given up.
    pub(crate) released: WaitQueue,
}

impl FileLocksImage {
    /// Returns whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.whole.is_empty()
    }
}

impl RecordLock {
    fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    fn excludes(&self, other: &Self) -> bool {
        self.owner != other.owner
            && (self.kind == LockKind::Exclusive || other.kind == LockKind::Exclusive)
            && self.overlaps(other)
    }

    /// Whether the two can be one: they touch, and are alike.
    fn continues(&self, other: &Self) -> bool {
        self.owner == other.owner && self.kind == other.kind && self.last.checked_add(1) == Some(other.first)
    }
}

impl Locks {
    /// Takes `range` out of what its owner holds.
    fn cut(&mut self, range: &RecordLock) {
        let mut rest = Vec::with_capacity(self.records.len() + 1);
        for lock in self.records.drain(..) {
            if lock.owner != range.owner || !lock.overlaps(range) {
                rest.push(lock);
                continue;
            }
            if let Some(last) = range.first.checked_sub(1).filter(|last| lock.first <= *last) {
                rest.push(RecordLock { last, ..lock });
            }
            if let Some(first) = range.last.checked_add(1).filter(|first| *first <= lock.last) {
                rest.push(RecordLock { first, ..lock });
            }
        }
        self.records = rest;
    }

    fn merge(&mut self) {
        self.records.sort_by_key(|lock| (lock.owner, lock.first));
        self.records.dedup_by(|next, lock| {
            let is_one = lock.continues(next);
            if is_one {
                lock.last = next.last;
            }
            is_one
        });
        self.records.sort_by_key(|lock| lock.first);
    }
}

impl FileLocks {
    /// Takes a record lock, in place of what its owner holds of the range.
    ///
    /// # Errors
    ///
    /// The first lock that excludes it.
    pub(crate) fn set(&self, lock: RecordLock) -> Result<(), RecordLock> {
        let mut locks = self.locks.lock();
        if let Some(other) = locks.records.iter().find(|held| held.excludes(&lock)) {
            return Err(*other);
        }
        // Taking less than was held may let others in.
        let gives_up = lock.kind == LockKind::Shared
            && locks.records.iter().any(|held| held.owner == lock.owner && held.overlaps(&lock));
        locks.cut(&lock);
        locks.records.push(lock);
        locks.merge();
        drop(locks);
        if gives_up {
            self.released.wake(Events::ALWAYS);
        }
        Ok(())
    }

    /// Returns the first lock that excludes `lock`.
    pub(crate) fn conflict(&self, lock: &RecordLock) -> Option<RecordLock> {
        self.locks.lock().records.iter().find(|held| held.excludes(lock)).copied()
    }

    /// Gives up what the owner of `range` holds of it; its kind does not matter.
    pub(crate) fn unset(&self, range: &RecordLock) {
        self.locks.lock().cut(range);
        self.released.wake(Events::ALWAYS);
    }

    /// Takes a lock of the whole file for an open file description, or changes the one that it has. A change gives the
    /// one before up first, as in Linux.
    ///
    /// # Errors
    ///
    /// If a lock of another description excludes it.
    pub(crate) fn set_whole(&self, file: u64, kind: LockKind) -> Result<(), Excluded> {
        let mut locks = self.locks.lock();
        if locks.whole.contains(&(file, kind)) {
            return Ok(());
        }
        let before = locks.whole.len();
        locks.whole.retain(|(owner, _)| *owner != file);
        let gave_up = locks.whole.len() < before;
        let is_excluded =
            locks.whole.iter().any(|(_, other)| kind == LockKind::Exclusive || *other == LockKind::Exclusive);
        if !is_excluded {
            locks.whole.push((file, kind));
        }
        drop(locks);
        if gave_up {
            self.released.wake(Events::ALWAYS);
        }
        if is_excluded { Err(Excluded) } else { Ok(()) }
    }

    /// Gives up the lock of the whole file that an open file description has.
    pub(crate) fn unset_whole(&self, file: u64) {
        self.locks.lock().whole.retain(|(owner, _)| *owner != file);
        self.released.wake(Events::ALWAYS);
    }

    /// Gives up all record locks of `owner`.
    pub(crate) fn release(&self, owner: LockOwner) {
        let mut locks = self.locks.lock();
        let before = locks.records.len();
        locks.records.retain(|lock| lock.owner != owner);
        let gave_up = locks.records.len() < before;
        drop(locks);
        if gave_up {
            self.released.wake(Events::ALWAYS);
        }
    }

    /// Returns the saved form; the owners' ids are kept by a restore.
    pub(crate) fn to_image(&self) -> FileLocksImage {
        let locks = self.locks.lock();
        FileLocksImage { records: locks.records.clone(), whole: locks.whole.clone() }
    }

    /// Puts the locks back, of a file that has none.
    pub(crate) fn restore(&self, image: FileLocksImage) {
        *self.locks.lock() = Locks { records: image.records, whole: image.whole };
    }

    /// Returns the record locks.
    #[cfg(test)]
    fn records(&self) -> Vec<RecordLock> {
        self.locks.lock().records.clone()
    }
}

/// A lock of another open file description excludes the one that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Excluded;

/// Who waits for a record lock of whom: for the detection of deadlocks between processes.
#[derive(Debug, Default)]
pub(crate) struct LockWaits {
    waits: Lock<BTreeMap<(LockOwner, Pid), LockOwner>, { class::FILE_LOCKS }>,
}

impl LockWaits {
    /// Notes that the task `tid` of `owner` is about to wait for `holder`. Returns whether that is possible: not if the
    /// holder waits, perhaps over others, for `owner`.
    pub(crate) fn begin(&self, owner: LockOwner, tid: Pid, holder: LockOwner) -> bool {
        let mut waits = self.waits.lock();
        let mut at = holder;
        // As Linux, chains that are longer than any sensible one are not followed.
        for _ in 0..10 {
            if at == owner {
                return false;
            }
            let range = (at, Pid::MIN)..=(at, Pid::MAX);
            match waits.range(range).next() {
                Some((_, next)) => at = *next,
                None => break,
            }
        }
        waits.insert((owner, tid), holder);
        true
    }

    /// Notes that the task `tid` of `owner` waits no longer.
    pub(crate) fn end(&self, owner: LockOwner, tid: Pid) {
        self.waits.lock().remove(&(owner, tid));
    }

    /// Notes that `owner` is gone.
    pub(crate) fn remove(&self, owner: LockOwner) {
        self.waits.lock().retain(|(waiter, _), _| *waiter != owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(process: u64, kind: LockKind, first: u64, last: u64) -> RecordLock {
        RecordLock { owner: LockOwner::Process(process), pid: 1, kind, first, last }
    }

    #[test]
    fn unlocking_the_middle_splits() {
        let locks = FileLocks::default();
        locks.set(lock(1, LockKind::Exclusive, 0, 99)).unwrap();
        locks.unset(&lock(1, LockKind::Shared, 40, 59));
        let ranges: Vec<_> = locks.records().iter().map(|lock| (lock.first, lock.last)).collect();
        assert_eq!(ranges, [(0, 39), (60, 99)]);
        locks.set(lock(2, LockKind::Exclusive, 40, 59)).unwrap();
        assert_eq!(locks.set(lock(2, LockKind::Shared, 39, 39)).unwrap_err().first, 0);
    }

    #[test]
    fn neighbours_of_a_kind_become_one() {
        let locks = FileLocks::default();
        locks.set(lock(1, LockKind::Shared, 0, 9)).unwrap();
        locks.set(lock(1, LockKind::Shared, 20, i64::MAX as u64)).unwrap();
        locks.set(lock(1, LockKind::Shared, 10, 19)).unwrap();
        assert_eq!(locks.records().len(), 1);
        locks.set(lock(1, LockKind::Exclusive, 5, 6)).unwrap();
        assert_eq!(locks.records().len(), 3);
    }

    #[test]
    fn locks_come_back() {
        let locks = FileLocks::default();
        locks.set(lock(1, LockKind::Exclusive, 0, 9)).unwrap();
        locks.set_whole(3, LockKind::Shared).unwrap();
        let image = locks.to_image();
        let restored = FileLocks::default();
        restored.restore(image.clone());
        assert_eq!(restored.to_image(), image);
    }

    #[test]
    fn shared_locks_go_together() {
        let locks = FileLocks::default();
        locks.set(lock(1, LockKind::Shared, 0, 9)).unwrap();
        assert!(locks.conflict(&lock(2, LockKind::Shared, 0, 9)).is_none());
        assert!(locks.conflict(&lock(2, LockKind::Exclusive, 9, 10)).is_some());
        locks.release(LockOwner::Process(1));
        assert!(locks.conflict(&lock(2, LockKind::Exclusive, 9, 10)).is_none());
    }

    #[test]
    fn whole_file_locks_convert() {
        let locks = FileLocks::default();
        locks.set_whole(1, LockKind::Shared).unwrap();
        locks.set_whole(2, LockKind::Shared).unwrap();
        assert_eq!(locks.set_whole(1, LockKind::Exclusive), Err(Excluded));
        locks.unset_whole(2);
        assert_eq!(locks.set_whole(1, LockKind::Exclusive), Ok(()));
        assert_eq!(locks.set_whole(2, LockKind::Shared), Err(Excluded));
    }

    #[test]
    fn circles_of_waiting_are_found() {
        let (waits, owner) = (LockWaits::default(), LockOwner::Process);
        assert!(waits.begin(owner(1), 1, owner(2)));
        assert!(waits.begin(owner(2), 2, owner(3)));
        assert!(!waits.begin(owner(3), 3, owner(1)));
        waits.end(owner(1), 1);
        assert!(waits.begin(owner(3), 3, owner(1)));
    }
}
