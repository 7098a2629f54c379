//! Clocks: `clock_gettime(2)`, `clock_getres(2)`, `gettimeofday(2)`, `time(2)`; and the calls that would set them.

use std::time::Duration;

use cloister_abi::time::{Timespec, Timeval};

use super::{Address, Int};
use crate::prelude::*;
use crate::task::Capabilities;
use crate::time::{self, ClockId};

/// How fine the coarse clocks are (a tick of 250 Hz).
const COARSE: Duration = Duration::from_millis(4);

/// Handles `clock_gettime(clock, time)`.
pub(super) fn sys_clock_gettime(cx: &mut SyscallCx<'_>, clock: Int, time: Address) -> SyscallResult {
    let now = ClockId::new(cx, clock)?.now(cx.kernel());
    cx.memory().write(time, &time::timespec(now))?;
    Ok(Outcome::OK)
}

/// Handles `clock_getres(clock, resolution)`.
pub(super) fn sys_clock_getres(cx: &mut SyscallCx<'_>, clock: Int, resolution: Address) -> SyscallResult {
    ClockId::new(cx, clock)?;
    let coarse = [uapi::CLOCK_REALTIME_COARSE, uapi::CLOCK_MONOTONIC_COARSE];
    let is_coarse = coarse.contains(&clock.cast_unsigned());
    let step = if is_coarse { COARSE } else { Duration::from_nanos(1) };
    cx.memory().write_if(resolution, &time::timespec(step))?;
    Ok(Outcome::OK)
}

/// Handles `clock_settime(clock, time)`: the clocks are the host's, and no capability of the sandbox lets it set them.
pub(super) fn sys_clock_settime(cx: &mut SyscallCx<'_>, clock: Int, time: Address) -> SyscallResult {
    if clock.cast_unsigned() != uapi::CLOCK_REALTIME {
        return Err(fail(errno::EINVAL, "a clock that can't be set"));
    }
    time::duration(cx.memory().read::<Timespec>(time)?)?;
    Err(fail(errno::EPERM, "the clock is the host's"))
}

/// Handles `settimeofday(time, zone)`.
pub(super) fn sys_settimeofday(cx: &mut SyscallCx<'_>, time: Address, _zone: Address) -> SyscallResult {
    if !time.is_null() {
        time::duration_of_timeval(cx.memory().read::<Timeval>(time)?)?;
    }
    Err(fail(errno::EPERM, "the clock is the host's"))
}

/// Handles `gettimeofday(time, zone)`; the zone is always Greenwich.
pub(super) fn sys_gettimeofday(cx: &mut SyscallCx<'_>, time: Address, zone: Address) -> SyscallResult {
    cx.memory().write_if(time, &time::timeval(cx.kernel().clock.realtime()))?;
    cx.memory().write_if(zone, &[0_i32; 2])?;
    Ok(Outcome::OK)
}

/// Handles `time(time)`.
pub(super) fn sys_time(cx: &mut SyscallCx<'_>, time: Address) -> SyscallResult {
    let seconds = i64::try_from(cx.kernel().clock.realtime().as_secs()).unwrap_or(i64::MAX);
    cx.memory().write_if(time, &seconds)?;
    Ok(seconds.into())
}

/// Handles `adjtimex(buf)` and `clock_adjtime(clock, buf)`: the clock is not adjusted by the sandbox, and looks as one that
/// nothing keeps in step.
pub(super) fn sys_adjtimex(cx: &mut SyscallCx<'_>, buf: Address) -> SyscallResult {
    const TIME_ERROR: u32 = 5;
    const STA_UNSYNC: i32 = 0x40;
    /// `struct timex`, 208 bytes; the first word is what to change.
    const BYTES: usize = 208;
    const STATUS_AT: usize = 40;
    const TIME_AT: usize = 72;
    let mut timex: Vec<u8> = cx.memory().read_array(buf, BYTES)?;
    let modes = timex.iter().take(4).rev().fold(0_u32, |modes, byte| (modes << 8) | u32::from(*byte));
    if modes != 0 {
        let has = cx.credentials().has(Capabilities::SYS_TIME);
        let cause = if has { "the clock is the host's" } else { "the caller lacks `CAP_SYS_TIME`" };
        return Err(fail(errno::EPERM, cause));
    }
    timex.fill(0);
    let now = time::timeval(cx.kernel().clock.realtime());
    let fields = [(STATUS_AT, i64::from(STA_UNSYNC)), (TIME_AT, now.sec), (TIME_AT + 8, now.usec)];
    for (at, value) in fields {
        if let Some(place) = timex.get_mut(at..at + 8) {
            place.copy_from_slice(&value.to_ne_bytes());
        }
    }
    cx.memory().write_bytes(buf, &timex)?;
    Ok(TIME_ERROR.into())
}

/// Handles `clock_adjtime(clock, buf)`.
pub(super) fn sys_clock_adjtime(cx: &mut SyscallCx<'_>, clock: Int, buf: Address) -> SyscallResult {
    if clock.cast_unsigned() != uapi::CLOCK_REALTIME {
        return Err(fail(errno::EOPNOTSUPP, "a clock that can't be adjusted"));
    }
    sys_adjtimex(cx, buf)
}
