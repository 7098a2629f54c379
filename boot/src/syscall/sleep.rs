//! `nanosleep(2)`, `clock_nanosleep(2)`.

use std::time::Duration;

use cloister_abi::time::Timespec;

use super::{Address, Int, SyscallState};
use crate::prelude::*;
use crate::time::{self, ClockId};

const TIMER_ABSTIME: Int = 1;

/// Handles `nanosleep(time, remaining)`.
pub(super) fn sys_nanosleep(cx: &mut SyscallCx<'_>, time: Address, remaining: Address) -> SyscallResult {
    let time = time::duration(cx.memory().read::<Timespec>(time)?)?;
    sleep(cx, ClockId::Monotonic, time, remaining)
}

/// Handles `clock_nanosleep(clock, flags, time, remaining)`.
///
/// A sleep until a point of `CLOCK_REALTIME` does not follow the host's clock if that is set meanwhile.
pub(super) fn sys_clock_nanosleep(
    cx: &mut SyscallCx<'_>,
    raw_clock: Int,
    flags: Int,
    time: Address,
    remaining: Address,
) -> SyscallResult {
    let clock = ClockId::new(cx, raw_clock)?;
    match raw_clock.cast_unsigned() {
        uapi::CLOCK_THREAD_CPUTIME_ID => {
            return Err(fail(errno::EINVAL, "the thread's own time does not pass"));
        }
        uapi::CLOCK_REALTIME_COARSE | uapi::CLOCK_MONOTONIC_COARSE | uapi::CLOCK_MONOTONIC_RAW => {
            return Err(fail(errno::EOPNOTSUPP, "not a clock to sleep by"));
        }
        _ => {}
    }
    if clock == ClockId::Thread(cx.task.tid()) {
        return Err(fail(errno::EINVAL, "the thread's own time does not pass"));
    }
    let time = time::duration(cx.memory().read::<Timespec>(time)?)?;
    if flags & TIMER_ABSTIME != 0 {
        sleep_until(cx, clock, time, Restart::NoHand)
    } else {
        sleep(cx, clock, time, remaining)
    }
}

/// Handles `restart_syscall()` of a caller that has nothing to restart; the dispatcher goes on with a call that a signal
/// has interrupted before it looks for a handler.
pub(super) fn sys_restart_syscall(_cx: &mut SyscallCx<'_>) -> SyscallResult {
    Err(fail(errno::EINTR, "nothing was interrupted"))
}

/// Sleeps for `time`. If a signal interrupts it, what is left is written to `remaining`, and the restart goes on with it.
fn sleep(cx: &mut SyscallCx<'_>, clock: ClockId, time: Duration, remaining: Address) -> SyscallResult {
    let end = match cx.state() {
        Some(SyscallState::Until(end)) => *end,
        _ => clock.now(cx.kernel()).saturating_add(time),
    };
    cx.set_state(SyscallState::Until(end));
    let result = sleep_until(cx, clock, end, Restart::Block);
    if matches!(result, Err(Fail::Restart(_))) {
        let left = end.saturating_sub(clock.now(cx.kernel()));
        cx.memory().write_if(remaining, &time::timespec(left))?;
    }
    result
}

fn sleep_until(cx: &SyscallCx<'_>, clock: ClockId, end: Duration, restart: Restart) -> SyscallResult {
    let now = clock.now(cx.kernel());
    if now >= end {
        return Ok(Outcome::OK);
    }
    Err(cx.park(Some(clock.instant_of(cx.kernel(), end, now)), restart))
}
