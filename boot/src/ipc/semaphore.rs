//! Semaphores.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{IpcObject, IpcPermission, IpcTable, IpcTableImage};
use crate::error::{Fail, fail};
use crate::event::{Events, WaitQueue};
use crate::prelude::errno;
use crate::task::Pid;

/// The largest value (`SEMVMX`).
pub(crate) const MAX_VALUE: i32 = 32767;

/// A semaphore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Semaphore {
    /// Its value.
    pub(crate) value: i32,
    /// Who last changed it.
    pub(crate) pid: Pid,
}

/// What is known of a set (`struct semid_ds`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SemaphoreData {
    /// Owners and mode.
    pub(crate) permission: IpcPermission,
    /// The semaphores.
    pub(crate) semaphores: Vec<Semaphore>,
    /// When it was last operated on, in seconds since 1970.
    pub(crate) operated: u64,
    /// When it was made or changed.
    pub(crate) changed: u64,
}

/// A set of semaphores.
#[derive(Debug)]
pub(crate) struct SemaphoreSet {
    /// What is known of it.
    pub(crate) data: SemaphoreData,
    /// Woken when a value changes, or the set is gone.
    pub(crate) queue: WaitQueue,
    /// Which semaphore each waiting task waits for, and for what.
    waiting: BTreeMap<Pid, (u16, WaitFor)>,
}

/// What a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitFor {
    /// A larger value (`GETNCNT`).
    Increase,
    /// Zero (`GETZCNT`).
    Zero,
}

/// An operation (`struct sembuf`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SemaphoreOp {
    /// Which semaphore.
    pub(crate) number: u16,
    /// What is added; 0: zero is waited for.
    pub(crate) change: i16,
    /// It is undone when the process ends (`SEM_UNDO`).
    pub(crate) is_undone: bool,
    /// The call does not wait (`IPC_NOWAIT`).
    pub(crate) is_immediate: bool,
}

impl IpcObject for SemaphoreSet {
    fn permission(&self) -> &IpcPermission {
        &self.data.permission
    }
}

impl SemaphoreSet {
    /// Makes a set of `count` semaphores that are zero.
    pub(crate) fn new(permission: IpcPermission, count: usize, now: u64) -> Self {
        let semaphores = vec![Semaphore::default(); count];
        let data = SemaphoreData { permission, semaphores, operated: 0, changed: now };
        Self { data, queue: WaitQueue::new(), waiting: BTreeMap::new() }
    }

    /// Returns the semaphore `number`.
    ///
    /// # Errors
    ///
    /// `errno` if there is none.
    pub(crate) fn semaphore(
        &mut self,
        number: i32,
        errno: crate::error::Errno,
    ) -> Result<&mut Semaphore, Fail> {
        let index = usize::try_from(number).ok();
        let found = index.and_then(|index| self.data.semaphores.get_mut(index));
        found.ok_or_else(|| fail(errno, "there is no semaphore with the number"))
    }

    /// Returns how many tasks wait for something at a semaphore.
    pub(crate) fn count_waiting(&self, number: i32, what: WaitFor) -> usize {
        let is_meant = |(at, waits_for): &&(u16, WaitFor)| i32::from(*at) == number && *waits_for == what;
        self.waiting.values().filter(is_meant).count()
    }

    /// Takes note that a task waits no more.
    pub(crate) fn forget_waiter(&mut self, task: Pid) {
        self.waiting.remove(&task);
    }

    /// Wakes all who wait.
    pub(crate) fn wake(&self) {
        self.queue.wake(Events::IN);
    }
}

/// Who operates on semaphores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operator {
    /// The task.
    pub(crate) task: Pid,
    /// Its process.
    pub(crate) process: Pid,
    /// The time, in seconds since 1970.
    pub(crate) now: u64,
}

/// What became of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operated {
    /// They were carried out.
    Done,
    /// One has to wait: that is noted.
    MustWait,
    /// One would have to wait, and does not.
    Refused,
}

/// The saved form of [`Semaphores`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SemaphoresImage {
    sets: IpcTableImage<SemaphoreData>,
    undo: Vec<(Pid, i32, u16, i32)>,
}

/// All semaphore sets, and what is to be undone.
#[derive(Debug, Default)]
pub(crate) struct Semaphores {
    /// The sets.
    pub(crate) sets: IpcTable<SemaphoreSet>,
    /// What to add to semaphores when a process ends: by process, set and number.
    undo: BTreeMap<Pid, BTreeMap<(i32, u16), i32>>,
}

impl Semaphores {
    /// Returns the saved form. Calls that wait enter themselves again.
    pub(crate) fn to_image(&self) -> SemaphoresImage {
        let changes = |(pid, undo): (&Pid, &BTreeMap<(i32, u16), i32>)| {
            undo.iter().map(|((id, number), change)| (*pid, *id, *number, *change)).collect::<Vec<_>>()
        };
        SemaphoresImage {
            sets: self.sets.to_image(|set| set.data.clone()),
            undo: self.undo.iter().flat_map(changes).collect(),
        }
    }

    /// Brings them back; `None` if two sets have one id.
    pub(crate) fn from_image(image: SemaphoresImage) -> Option<Self> {
        let set = |data| Some(SemaphoreSet { data, queue: WaitQueue::new(), waiting: BTreeMap::new() });
        let mut undo: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for (pid, id, number, change) in image.undo {
            undo.entry(pid).or_default().insert((id, number), change);
        }
        Some(Self { sets: IpcTable::from_image(image.sets, set)?, undo })
    }

    /// Carries all of `ops` out, or none.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no such set, `EFBIG`, `ERANGE`.
    pub(crate) fn operate(&mut self, id: i32, ops: &[SemaphoreOp], who: Operator) -> Result<Operated, Fail> {
        let set = self.sets.get_mut(id)?;
        set.waiting.remove(&who.task);
        let undo = self.undo.entry(who.process).or_default();
        let mut done = 0;
        let mut result = Ok(());
        for op in ops {
            result = apply(set, undo, id, op);
            if result.is_err() {
                break;
            }
            done += 1;
        }
        if let Err(failure) = result {
            for op in ops.iter().take(done) {
                revert(set, undo, id, op);
            }
            let Some(op) = ops.get(done).filter(|_| failure.is(errno::EAGAIN)) else { return Err(failure) };
            if op.is_immediate {
                return Ok(Operated::Refused);
            }
            let what = if op.change == 0 { WaitFor::Zero } else { WaitFor::Increase };
            set.waiting.insert(who.task, (op.number, what));
            return Ok(Operated::MustWait);
        }
        for op in ops {
            if let Ok(semaphore) = set.semaphore(op.number.into(), errno::EFBIG) {
                semaphore.pid = who.process;
            }
        }
        set.data.operated = who.now;
        if ops.iter().any(|op| op.change != 0) {
            set.wake();
        }
        Ok(Operated::Done)
    }

    /// Forgets what is to be undone for a semaphore, or (`None`) for all of the set.
    pub(crate) fn forget_undo(&mut self, id: i32, number: Option<i32>) {
        for undo in self.undo.values_mut() {
            undo.retain(|(set, at), _| *set != id || number.is_some_and(|number| i32::from(*at) != number));
        }
    }

    /// Undoes what a process that has ended did.
    pub(super) fn undo(&mut self, process: Pid) {
        for ((id, number), change) in self.undo.remove(&process).unwrap_or_default() {
            let Ok(set) = self.sets.get_mut(id) else { continue };
            if let Ok(semaphore) = set.semaphore(number.into(), errno::EFBIG) {
                semaphore.value = (semaphore.value + change).clamp(0, MAX_VALUE);
                semaphore.pid = process;
            }
            set.wake();
        }
    }
}

fn apply(
    set: &mut SemaphoreSet,
    undo: &mut BTreeMap<(i32, u16), i32>,
    id: i32,
    op: &SemaphoreOp,
) -> Result<(), Fail> {
    let semaphore = set.semaphore(op.number.into(), errno::EFBIG)?;
    if op.change == 0 {
        let is_zero = semaphore.value == 0;
        return if is_zero { Ok(()) } else { Err(fail(errno::EAGAIN, "the value is not zero")) };
    }
    let value = semaphore.value + i32::from(op.change);
    if value < 0 {
        return Err(fail(errno::EAGAIN, "the value is too small"));
    }
    if value > MAX_VALUE {
        return Err(fail(errno::ERANGE, "the value would be too large"));
    }
    if op.is_undone {
        let adjustment = undo.entry((id, op.number)).or_default();
        let changed = *adjustment - i32::from(op.change);
        if changed.abs() > MAX_VALUE {
            return Err(fail(errno::ERANGE, "too much would be undone"));
        }
        *adjustment = changed;
    }
    semaphore.value = value;
    Ok(())
}

fn revert(set: &mut SemaphoreSet, undo: &mut BTreeMap<(i32, u16), i32>, id: i32, op: &SemaphoreOp) {
    if let Ok(semaphore) = set.semaphore(op.number.into(), errno::EFBIG) {
        semaphore.value -= i32::from(op.change);
    }
    if op.is_undone {
        *undo.entry((id, op.number)).or_default() += i32::from(op.change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Credentials;

    const WHO: Operator = Operator { task: 11, process: 10, now: 1 };

    fn op(number: u16, change: i16) -> SemaphoreOp {
        SemaphoreOp { number, change, is_undone: false, is_immediate: false }
    }

    fn set_of(count: usize) -> (Semaphores, i32) {
        let mut all = Semaphores::default();
        let permission = IpcPermission::new(0, 0o600, &Credentials::default());
        let id = all.sets.add(SemaphoreSet::new(permission, count, 0));
        (all, id)
    }

    fn values(all: &mut Semaphores, id: i32) -> Vec<i32> {
        all.sets.get_mut(id).unwrap().data.semaphores.iter().map(|semaphore| semaphore.value).collect()
    }

    #[test]
    fn all_operations_or_none() {
        let (mut all, id) = set_of(2);
        all.operate(id, &[op(0, 3), op(1, 1)], WHO).unwrap();
        assert_eq!(all.operate(id, &[op(0, -2), op(1, -2)], WHO).unwrap(), Operated::MustWait);
        assert_eq!(values(&mut all, id), [3, 1]);
        assert_eq!(all.sets.get_mut(id).unwrap().count_waiting(1, WaitFor::Increase), 1);
        // One after the other: the second finds what the first has made.
        all.operate(id, &[op(1, -1), op(1, 0), op(1, 5)], WHO).unwrap();
        assert_eq!(values(&mut all, id), [3, 5]);
        assert_eq!(all.sets.get_mut(id).unwrap().count_waiting(1, WaitFor::Increase), 0);
        let immediate = SemaphoreOp { is_immediate: true, ..op(1, 0) };
        assert_eq!(all.operate(id, &[op(0, 1), immediate], WHO).unwrap(), Operated::Refused);
        assert_eq!(values(&mut all, id), [3, 5]);
        assert!(all.operate(id, &[op(2, 1)], WHO).is_err_and(|failure| failure.is(errno::EFBIG)));
        assert!(all.operate(id, &[op(0, i16::MAX)], WHO).is_err_and(|failure| failure.is(errno::ERANGE)));
    }

    #[test]
    fn the_end_of_a_process_undoes_its_operations() {
        let (mut all, id) = set_of(1);
        all.operate(id, &[op(0, 5)], WHO).unwrap();
        let undone = SemaphoreOp { is_undone: true, ..op(0, -2) };
        all.operate(id, &[undone, undone], WHO).unwrap();
        // What fails leaves nothing to undo.
        assert_eq!(all.operate(id, &[undone], WHO).unwrap(), Operated::MustWait);
        assert_eq!(values(&mut all, id), [1]);
        all.undo(WHO.process);
        assert_eq!(values(&mut all, id), [5]);
        all.operate(id, &[undone], WHO).unwrap();
        all.forget_undo(id, None);
        all.undo(WHO.process);
        assert_eq!(values(&mut all, id), [3]);
    }
}
