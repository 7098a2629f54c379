//! `futex(2)`, `futex_waitv(2)` and the calls of the second interface, `set_robust_list(2)`, `get_robust_list(2)`.

use std::time::Duration;

use cloister_abi::time::Timespec;
use zerocopy::{FromBytes, IntoBytes};

use super::{Address, Int, Size, SyscallState, UInt, ULong};
use crate::prelude::*;
use crate::task::futex::{self, FutexKey, FutexWord, Requeue, Sharing, WakeOp};
use crate::time::{self, ClockId, Instant};

/// The size of `struct robust_list_head`.
const ROBUST_LIST_HEAD_BYTES: u64 = 24;
/// The most futexes that one call can wait for.
const MAX_WAITERS: u32 = 128;
/// `FUTEX2_SIZE_U32` and `FUTEX2_PRIVATE`: the flags of the second interface.
const FUTEX2_SIZE_U32: u32 = 2;
const FUTEX2_PRIVATE: u32 = 128;

/// Handles `futex(uaddr, op, val, timeout, uaddr2, val3)`. For some operations `timeout` is the number `val2`.
pub(super) fn sys_futex(
    cx: &mut SyscallCx<'_>,
    address: Address,
    op: UInt,
    value: UInt,
    timeout: Address,
    second: Address,
    value3: UInt,
) -> SyscallResult {
    let sharing = if op & uapi::FUTEX_PRIVATE_FLAG != 0 { Sharing::Private } else { Sharing::Shared };
    let is_realtime = op & uapi::FUTEX_CLOCK_REALTIME != 0;
    let command = op & !(uapi::FUTEX_PRIVATE_FLAG | uapi::FUTEX_CLOCK_REALTIME);
    let takes_clock =
        matches!(command, uapi::FUTEX_WAIT_BITSET | uapi::FUTEX_WAIT_REQUEUE_PI | uapi::FUTEX_LOCK_PI2);
    if is_realtime && !takes_clock {
        return Err(fail(errno::ENOSYS, "the operation has no choice of clocks"));
    }
    let clock = if is_realtime { ClockId::Realtime } else { ClockId::Monotonic };
    let key = |cx: &SyscallCx<'_>, address: Address| FutexKey::new(cx.mm(), address.0, sharing);
    match command {
        uapi::FUTEX_WAIT => {
            let word = FutexWord { address: address.0, value, bitset: u32::MAX, sharing };
            let deadline = relative_deadline(cx, timeout)?;
            wait(cx, word, deadline)
        }
        uapi::FUTEX_WAIT_BITSET => {
            let word = FutexWord { address: address.0, value, bitset: nonzero(value3)?, sharing };
            let deadline = absolute_deadline(cx, timeout, clock)?;
            wait(cx, word, deadline)
        }
        uapi::FUTEX_WAKE => {
            Ok(futex::wake(cx.kernel(), &key(cx, address)?, wake_count(value), u32::MAX)?.into())
        }
        uapi::FUTEX_WAKE_BITSET => {
            let (key, bitset) = (key(cx, address)?, nonzero(value3)?);
            Ok(futex::wake(cx.kernel(), &key, wake_count(value), bitset)?.into())
        }
        uapi::FUTEX_REQUEUE | uapi::FUTEX_CMP_REQUEUE => {
            let expected = (command == uapi::FUTEX_CMP_REQUEUE).then_some((address.0, value3));
            let what = Requeue { wake: count(value)?, requeue: count(second_value(timeout))?, expected };
            let (from, to) = (key(cx, address)?, key(cx, second)?);
            Ok(futex::requeue(cx, &from, &to, what)?.into())
        }
        uapi::FUTEX_WAKE_OP => {
            let op = WakeOp::parse(value3)?;
            let (first, to) = (key(cx, address)?, key(cx, second)?);
            let counts = (wake_count(value), wake_count(second_value(timeout)));
            Ok(futex::wake_op(cx, (&first, counts.0), (&to, counts.1), second.0, op)?.into())
        }
        uapi::FUTEX_LOCK_PI | uapi::FUTEX_LOCK_PI2 => {
            // The older operation knows the time of day only.
            let clock = if command == uapi::FUTEX_LOCK_PI { ClockId::Realtime } else { clock };
            let deadline = absolute_deadline(cx, timeout, clock)?;
            let key = key(cx, address)?;
            futex::lock_pi(cx, address.0, key, deadline)?;
            Ok(Outcome::OK)
        }
        uapi::FUTEX_TRYLOCK_PI => {
            futex::try_lock_pi(cx, address.0, &key(cx, address)?)?;
            Ok(Outcome::OK)
        }
        uapi::FUTEX_UNLOCK_PI => {
            futex::unlock_pi(cx, address.0, &key(cx, address)?)?;
            Ok(Outcome::OK)
        }
        _ => Err(fail(errno::ENOSYS, "the operation is not supported")),
    }
}

/// Waits. A call with a time-out goes on after a signal without a handler, with the time that is left.
fn wait(cx: &mut SyscallCx<'_>, word: FutexWord, deadline: Option<Instant>) -> SyscallResult {
    let restart = if deadline.is_some() { Restart::Block } else { Restart::Sys };
    futex::wait(cx, word, deadline, restart)?;
    Ok(Outcome::OK)
}

fn nonzero(bitset: u32) -> Result<u32, Fail> {
    if bitset == 0 { Err(fail(errno::EINVAL, "the bit set is empty")) } else { Ok(bitset) }
}

/// Returns how many are woken at most: as in Linux always one.
fn wake_count(value: u32) -> usize {
    usize::try_from(value.cast_signed()).unwrap_or(0).max(1)
}

fn count(value: u32) -> Result<usize, Fail> {
    usize::try_from(value.cast_signed()).map_err(|_| fail(errno::EINVAL, "a number is negative"))
}

/// Returns the number that some operations have in place of the time-out.
fn second_value(timeout: Address) -> u32 {
    u32::try_from(timeout.0 & u64::from(u32::MAX)).unwrap_or(0)
}

/// Returns the end of a time-out that is counted from the call's beginning.
fn relative_deadline(cx: &mut SyscallCx<'_>, timeout: Address) -> Result<Option<Instant>, Fail> {
    deadline(cx, timeout, |kernel, timeout| kernel.clock.monotonic().saturating_add(timeout))
}

/// Returns the end of a time-out that is a time of `clock`.
fn absolute_deadline(
    cx: &mut SyscallCx<'_>,
    timeout: Address,
    clock: ClockId,
) -> Result<Option<Instant>, Fail> {
    deadline(cx, timeout, |kernel, time| clock.instant_of(kernel, time, clock.now(kernel)))
}

/// Reads a time-out when the call's handler runs for the first time, and keeps its end.
fn deadline(
    cx: &mut SyscallCx<'_>,
    timeout: Address,
    end_fn: impl FnOnce(&Kernel, Duration) -> Instant,
) -> Result<Option<Instant>, Fail> {
    if let Some(SyscallState::Deadline(deadline)) = cx.state() {
        return Ok(*deadline);
    }
    if timeout.is_null() {
        return Ok(None);
    }
    let timeout = time::duration(cx.memory().read::<Timespec>(timeout)?)?;
    let deadline = Some(end_fn(cx.kernel(), timeout));
    cx.set_state(SyscallState::Deadline(deadline));
    Ok(deadline)
}

/// `struct futex_waitv`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
#[repr(C)]
struct RawWaiter {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

/// Returns who may use a futex with these flags of the second interface.
fn sharing(flags: u32) -> Result<Sharing, Fail> {
    if flags & !FUTEX2_PRIVATE != FUTEX2_SIZE_U32 {
        return Err(fail(errno::EINVAL, "not a futex of 32 bits, or a flag is not known"));
    }
    Ok(if flags & FUTEX2_PRIVATE != 0 { Sharing::Private } else { Sharing::Shared })
}

impl RawWaiter {
    fn word(&self) -> Result<FutexWord, Fail> {
        if self.reserved != 0 {
            return Err(fail(errno::EINVAL, "`__reserved` is not zero"));
        }
        let value = u32::try_from(self.value).map_err(|_| fail(errno::EINVAL, "the value has 64 bits"))?;
        Ok(FutexWord { address: self.address, value, bitset: u32::MAX, sharing: sharing(self.flags)? })
    }
}

fn clock(raw: Int) -> Result<ClockId, Fail> {
    match raw.cast_unsigned() {
        uapi::CLOCK_REALTIME => Ok(ClockId::Realtime),
        uapi::CLOCK_MONOTONIC => Ok(ClockId::Monotonic),
        _ => Err(fail(errno::EINVAL, "not a clock for a wait")),
    }
}

/// Handles `futex_waitv(waiters, nr_futexes, flags, timeout, clockid)`.
pub(super) fn sys_futex_waitv(
    cx: &mut SyscallCx<'_>,
    waiters: Address,
    count: UInt,
    flags: UInt,
    timeout: Address,
    raw_clock: Int,
) -> SyscallResult {
    if flags != 0 || count == 0 || count > MAX_WAITERS || waiters.is_null() {
        return Err(fail(errno::EINVAL, "`flags` or the number of futexes is wrong"));
    }
    let deadline = if timeout.is_null() { None } else { absolute_deadline(cx, timeout, clock(raw_clock)?)? };
    let raw = cx.memory().read_array::<RawWaiter>(waiters, count as usize)?;
    let words = raw.iter().map(RawWaiter::word).collect::<Result<Vec<_>, _>>()?;
    Ok(futex::wait_any(cx, &words, deadline, Restart::Sys)?.into())
}

/// Handles `futex_wake(uaddr, mask, nr, flags)`.
pub(super) fn sys_futex_wake(
    cx: &mut SyscallCx<'_>,
    address: Address,
    mask: ULong,
    raw_count: Int,
    flags: UInt,
) -> SyscallResult {
    let sharing = sharing(flags)?;
    let mask = nonzero(mask_of(mask)?)?;
    let key = FutexKey::new(cx.mm(), address.0, sharing)?;
    let count = usize::try_from(raw_count).unwrap_or(0);
    Ok(futex::wake(cx.kernel(), &key, count, mask)?.into())
}

/// Handles `futex_wait(uaddr, val, mask, flags, timeout, clockid)`.
pub(super) fn sys_futex_wait(
    cx: &mut SyscallCx<'_>,
    address: Address,
    value: ULong,
    mask: ULong,
    flags: UInt,
    timeout: Address,
    raw_clock: Int,
) -> SyscallResult {
    let sharing = sharing(flags)?;
    let value = u32::try_from(value).map_err(|_| fail(errno::EINVAL, "`val` has 64 bits"))?;
    let word = FutexWord { address: address.0, value, bitset: nonzero(mask_of(mask)?)?, sharing };
    let deadline = if timeout.is_null() { None } else { absolute_deadline(cx, timeout, clock(raw_clock)?)? };
    wait(cx, word, deadline)
}

fn mask_of(mask: u64) -> Result<u32, Fail> {
    u32::try_from(mask).map_err(|_| fail(errno::EINVAL, "`mask` has 64 bits"))
}

/// Handles `futex_requeue(waiters, flags, nr_wake, nr_requeue)`.
pub(super) fn sys_futex_requeue(
    cx: &mut SyscallCx<'_>,
    waiters: Address,
    flags: UInt,
    wake: Int,
    requeue: Int,
) -> SyscallResult {
    if flags != 0 || waiters.is_null() {
        return Err(fail(errno::EINVAL, "`flags` is not zero, or no futexes are given"));
    }
    let raw = cx.memory().read_array::<RawWaiter>(waiters, 2)?;
    let [from, to] = raw.as_slice() else { return Err(errno::EINVAL.into()) };
    let (from, to) = (from.word()?, to.word()?);
    let what = Requeue {
        wake: count(wake.cast_unsigned())?,
        requeue: count(requeue.cast_unsigned())?,
        expected: Some((from.address, from.value)),
    };
    let key = |word: &FutexWord| FutexKey::new(cx.mm(), word.address, word.sharing);
    Ok(futex::requeue(cx, &key(&from)?, &key(&to)?, what)?.into())
}

/// Handles `set_robust_list(head, len)`.
pub(super) fn sys_set_robust_list(cx: &mut SyscallCx<'_>, head: Address, len: Size) -> SyscallResult {
    if len as u64 != ROBUST_LIST_HEAD_BYTES {
        return Err(fail(errno::EINVAL, "not the size of the list's head"));
    }
    cx.run.robust_list = head.0;
    Ok(Outcome::OK)
}

/// Handles `get_robust_list(pid, head_ptr, len_ptr)`. Of other tasks it is not told.
pub(super) fn sys_get_robust_list(
    cx: &mut SyscallCx<'_>,
    tid: Int,
    head: Address,
    len: Address,
) -> SyscallResult {
    let tid = if tid == 0 { cx.task.tid() } else { cx.pid(tid) };
    if tid != cx.task.tid() {
        let exists = cx.kernel().processes.task(tid).is_some();
        let errno = if exists { errno::EPERM } else { errno::ESRCH };
        return Err(fail(errno, "another task's list"));
    }
    cx.memory().write(len, &ROBUST_LIST_HEAD_BYTES)?;
    cx.memory().write(head, &cx.run.robust_list)?;
    Ok(Outcome::OK)
}
