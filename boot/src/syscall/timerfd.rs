//! `timerfd_create(2)`, `timerfd_settime(2)`, `timerfd_gettime(2)`.

use std::any::Any;

use cloister_abi::time::Itimerspec;

use super::{Address, Fd, Int};
use crate::fs::{OpenFile, OpenFlags, anon};
use crate::prelude::*;
use crate::task::Capabilities;
use crate::time::{ClockId, Setting, Start, TimerFd};

const TFD_TIMER_ABSTIME: Int = 1;
const TFD_TIMER_CANCEL_ON_SET: Int = 2;

/// Handles `timerfd_create(clock, flags)`.
pub(super) fn sys_timerfd_create(cx: &mut SyscallCx<'_>, raw_clock: Int, raw_flags: Int) -> SyscallResult {
    let flags = OpenFlags::from_bits_retain(raw_flags.cast_unsigned());
    if !(OpenFlags::CLOSE_ON_EXEC | OpenFlags::NON_BLOCKING).contains(flags) {
        return Err(fail(errno::EINVAL, "unknown `flags`"));
    }
    match raw_clock.cast_unsigned() {
        uapi::CLOCK_REALTIME | uapi::CLOCK_MONOTONIC | uapi::CLOCK_BOOTTIME => {}
        uapi::CLOCK_REALTIME_ALARM | uapi::CLOCK_BOOTTIME_ALARM => {
            if !cx.credentials().has(Capabilities::WAKE_ALARM) {
                return Err(fail(errno::EPERM, "the caller lacks `CAP_WAKE_ALARM`"));
            }
        }
        _ => return Err(fail(errno::EINVAL, "not a clock for timers that are read")),
    }
    let timer = Box::new(TimerFd::new(ClockId::new(cx, raw_clock)?));
    anon::install_object(cx, "[timerfd]", timer, flags | OpenFlags::READ_WRITE)
}

/// Returns the timer that `file` is.
fn timer(file: &OpenFile) -> Result<&TimerFd, Fail> {
    let ops: &dyn Any = file.ops();
    ops.downcast_ref().ok_or(fail(errno::EINVAL, "not a timer"))
}

/// Handles `timerfd_settime(fd, flags, new, old)`.
///
/// The clock can't be set from inside, so that `TFD_TIMER_CANCEL_ON_SET` never comes to effect.
pub(super) fn sys_timerfd_settime(
    cx: &mut SyscallCx<'_>,
    fd: Fd,
    flags: Int,
    new: Address,
    old: Address,
) -> SyscallResult {
    let setting = cx.memory().read::<Itimerspec>(new)?;
    if flags & !(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) != 0 {
        return Err(fail(errno::EINVAL, "unknown `flags`"));
    }
    let setting = Setting::from_itimerspec(setting)?;
    let start = if flags & TFD_TIMER_ABSTIME != 0 { Start::Absolute } else { Start::Relative };
    let file = cx.file(fd)?;
    let before = timer(&file)?.set(cx.kernel(), setting, start);
    cx.memory().write_if(old, &before.to_itimerspec())?;
    Ok(Outcome::OK)
}

/// Handles `timerfd_gettime(fd, setting)`.
pub(super) fn sys_timerfd_gettime(cx: &mut SyscallCx<'_>, fd: Fd, setting: Address) -> SyscallResult {
    let file = cx.file(fd)?;
    let left = timer(&file)?.left(cx.kernel());
    cx.memory().write(setting, &left.to_itimerspec())?;
    Ok(Outcome::OK)
}
