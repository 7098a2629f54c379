//! Locks that the kernel hands over: `FUTEX_LOCK_PI` and its neighbours.
//!
//! The word holds the owner's id. Who finds the lock taken marks the word with `FUTEX_WAITERS` and waits; who unlocks a
//! marked word has the kernel make the longest waiter the owner. Tasks have no priorities here that could be inherited.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::table::{PiWait, Wait, Waiter, Woken, wake_tasks};
use super::wait::{go_on, load, take_wait};
use super::wake::change;
use super::{FutexKey, FutexTable};
use crate::context::SyscallCx;
use crate::error::{Fail, Restart, fail};
use crate::prelude::{Arc, errno, uapi};
use crate::task::{Pid, PidNamespace, number};
use crate::time::Instant;

/// Somebody waits: the owner has the kernel hand the lock over.
const WAITERS: u32 = uapi::FUTEX_WAITERS;
/// The owner ended without unlocking.
const OWNER_DIED: u32 = uapi::FUTEX_OWNER_DIED;
/// The owner's id.
const TID_MASK: u32 = uapi::FUTEX_TID_MASK;

/// What came of an attempt to take a lock.
enum Attempt {
    Taken,
    Waits(Wait),
}

/// Takes the lock at `address`, and waits for it if need be.
///
/// # Errors
///
/// `EDEADLK` if the caller has it, `ESRCH` if its owner does not exist, `ETIMEDOUT`, `EFAULT`.
pub(crate) fn lock_pi(
    cx: &mut SyscallCx<'_>,
    address: u64,
    key: FutexKey,
    deadline: Option<Instant>,
) -> Result<(), Fail> {
    let wait = match take_wait(cx) {
        Some(wait) => wait,
        None => match attempt(cx, address, key)? {
            Attempt::Taken => return Ok(()),
            Attempt::Waits(wait) => wait,
        },
    };
    // Woken means owner.
    go_on(cx, wait, deadline, Restart::NoIntr).map(drop)
}

/// Takes the lock at `address` if it is free.
///
/// # Errors
///
/// `EAGAIN` if it is not, `EDEADLK` if the caller has it, `EFAULT`.
pub(crate) fn try_lock_pi(cx: &SyscallCx<'_>, address: u64, key: &FutexKey) -> Result<(), Fail> {
    let tid = word_of(cx.task.tid());
    let bucket = cx.kernel().futexes.lock(key);
    let marks = if bucket.waiters(key).next().is_some() { WAITERS } else { 0 };
    let old = change(cx.mm(), address, |old| if owner(old) == 0 { taken_by(tid, old, marks) } else { old })?;
    match owner(old) {
        0 => Ok(()),
        owner if owner == tid => Err(fail(errno::EDEADLK, "the caller has the lock")),
        _ => Err(fail(errno::EAGAIN, "the lock is taken")),
    }
}

fn owner(word: u32) -> u32 {
    word & TID_MASK
}

/// Returns how a lock's word names its owner: by the number that the owner itself knows.
fn word_of(tid: Pid) -> u32 {
    number(tid).cast_unsigned()
}

/// Returns the word of a lock that `tid` takes, which was `old`.
fn taken_by(tid: u32, old: u32, marks: u32) -> u32 {
    tid | (old & OWNER_DIED) | marks
}

/// Takes the lock, or enters its bucket.
fn attempt(cx: &SyscallCx<'_>, address: u64, key: FutexKey) -> Result<Attempt, Fail> {
    let (tid, own) = (cx.task.tid(), word_of(cx.task.tid()));
    loop {
        let seen = owner(load(cx.mm(), address)?);
        if seen != 0 && cx.kernel().processes.task(cx.pid(seen.cast_signed())).is_none() {
            return Err(fail(errno::ESRCH, "the owner does not exist"));
        }
        let mut bucket = cx.kernel().futexes.lock(&key);
        if bucket.waiters(&key).any(|waiter| waiter.pi.is_none()) {
            return Err(fail(errno::EINVAL, "others wait for a plain futex there"));
        }
        let old = change(cx.mm(), address, |old| match owner(old) {
            0 => taken_by(own, old, old & WAITERS),
            owner if owner == seen && owner != own => old | WAITERS,
            _ => old,
        })?;
        match owner(old) {
            0 => return Ok(Attempt::Taken),
            owner if owner == own => {
                return Err(fail(errno::EDEADLK, "the caller has the lock"));
            }
            owner if owner != seen => {}
            _ => {
                let pi = PiWait { mm: Arc::clone(cx.mm()), address, tid };
                let waiter = Waiter::new(cx.task, u32::MAX, Some(pi));
                cx.kernel().futexes.pi_waiters.fetch_add(1, Ordering::Relaxed);
                bucket.push(key, &waiter);
                let mut wait = Wait::new(cx.kernel());
                wait.waiters.push(waiter);
                return Ok(Attempt::Waits(wait));
            }
        }
    }
}

/// Gives the lock at `address` up.
///
/// # Errors
///
/// `EPERM` if the caller does not have it, `EINVAL` if others wait for a plain futex there, `EFAULT`.
pub(crate) fn unlock_pi(cx: &SyscallCx<'_>, address: u64, key: &FutexKey) -> Result<(), Fail> {
    if owner(load(cx.mm(), address)?) != word_of(cx.task.tid()) {
        return Err(fail(errno::EPERM, "the caller does not have the lock"));
    }
    let free = |address| change(cx.mm(), address, |_| 0).map(drop);
    hand_over(&cx.kernel().futexes, key, 0, || free(address))
}

/// Makes the longest waiter for `key` the owner of the lock, with `marks` in the word; or calls `free_fn`, before
/// another can come, if nobody waits.
fn hand_over(
    table: &FutexTable,
    key: &FutexKey,
    marks: u32,
    free_fn: impl FnOnce() -> Result<(), Fail>,
) -> Result<(), Fail> {
    let mut woken = Woken::new();
    {
        let mut bucket = table.lock(key);
        let waiters: SmallVec<[_; 2]> = bucket.waiters(key).take(2).cloned().collect();
        let Some(next) = waiters.first() else { return free_fn() };
        let Some(pi) = &next.pi else {
            return Err(fail(errno::EINVAL, "others wait for a plain futex there"));
        };
        let more = if waiters.len() > 1 { WAITERS } else { 0 };
        change(&pi.mm, pi.address, |_| word_of(pi.tid) | more | marks)?;
        bucket.wake(key, 1, |waiter| std::ptr::eq(waiter, &raw const **next), &mut woken);
    }
    wake_tasks(woken);
    Ok(())
}

/// Hands the locks over that `tid`, which ends, has and others wait for.
pub(super) fn abandon(table: &FutexTable, tid: Pid) {
    if table.pi_waiters.load(Ordering::Relaxed) == 0 {
        return;
    }
    let mut keys = HashSet::new();
    for bucket in table.buckets() {
        let bucket = bucket.lock();
        keys.extend(bucket.pi_waiters().filter_map(|(key, pi)| {
            let word = load(&pi.mm, pi.address).ok()?;
            // Who waits for a lock is in the namespace of who has it, whose number is in the word.
            let is_near = PidNamespace::of(pi.tid) == PidNamespace::of(tid);
            (is_near && owner(word) == word_of(tid)).then_some(key)
        }));
    }
    for key in keys {
        // A word that can't be written any more is lost to its waiters, as it is in Linux.
        let _ = hand_over(table, &key, OWNER_DIED, || Ok(()));
    }
}
