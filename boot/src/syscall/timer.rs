//! POSIX timers: `timer_create(2)`, `timer_settime(2)`, `timer_gettime(2)`, `timer_getoverrun(2)`, `timer_delete(2)`; and
//! the interval timers: `setitimer(2)`, `getitimer(2)`, `alarm(2)`.

use std::time::Duration;

use cloister_abi::signal::SigEvent;
use cloister_abi::time::{Itimerspec, Itimerval};

use super::{Address, Int, UInt};
use crate::prelude::*;
use crate::signal::Signal;
use crate::time::{ClockId, IntervalKind, Notify, PosixTimer, Setting, Start};

const SIGEV_SIGNAL: i32 = 0;
const SIGEV_NONE: i32 = 1;
const SIGEV_THREAD: i32 = 2;
const SIGEV_THREAD_ID: i32 = 4;
pub(super) const TIMER_ABSTIME: Int = 1;

/// Handles `timer_create(clock, event, id)`.
pub(super) fn sys_timer_create(
    cx: &mut SyscallCx<'_>,
    clock: Int,
    event: Address,
    id: Address,
) -> SyscallResult {
    let clock = ClockId::new(cx, clock)?;
    let event = if event.is_null() { None } else { Some(cx.memory().read::<SigEvent>(event)?) };
    let wanted = event.map(|event| notify(cx, &event)).transpose()?;
    let default = |id: i32| {
        let value = u64::from(id.cast_unsigned());
        Notify::Signal { signal: Signal::ALRM, value, thread: None }
    };
    let created = cx.group().timers.create(cx.kernel(), cx.group(), clock, cx.group().signal_limit(), |id| {
        wanted.unwrap_or_else(|| default(id))
    });
    let created = created.ok_or(fail(errno::EAGAIN, "too many timers"))?;
    cx.memory().write(id, &created).inspect_err(|_| {
        cx.group().timers.remove(created);
    })?;
    Ok(Outcome::OK)
}

/// Takes how the guest wants to be told.
fn notify(cx: &SyscallCx<'_>, event: &SigEvent) -> Result<Notify, Fail> {
    let thread = match event.notify {
        SIGEV_NONE => return Ok(Notify::Nobody),
        SIGEV_SIGNAL | SIGEV_THREAD => None,
        SIGEV_THREAD_ID => {
            let tid = cx.pid(event.tid);
            let task = cx.kernel().processes.task(tid);
            let is_own = task.is_some_and(|task| Arc::ptr_eq(task.group(), cx.group()));
            Some(is_own.then_some(tid).ok_or(fail(errno::EINVAL, "not a thread of the process"))?)
        }
        _ => return Err(fail(errno::EINVAL, "unknown `sigev_notify`")),
    };
    let signal = Signal::new(event.signal).map_err(|errno| fail(errno, "no such signal"))?;
    Ok(Notify::Signal { signal, value: event.value, thread })
}

fn timer(cx: &SyscallCx<'_>, id: Int) -> Result<Arc<PosixTimer>, Fail> {
    cx.group().timers.get(id).ok_or(fail(errno::EINVAL, "no such timer"))
}

/// Handles `timer_settime(id, flags, new, old)`.
pub(super) fn sys_timer_settime(
    cx: &mut SyscallCx<'_>,
    id: Int,
    flags: Int,
    new: Address,
    old: Address,
) -> SyscallResult {
    if new.is_null() {
        return Err(fail(errno::EINVAL, "no new setting"));
    }
    let setting = Setting::from_itimerspec(cx.memory().read::<Itimerspec>(new)?)?;
    let start = if flags & TIMER_ABSTIME != 0 { Start::Absolute } else { Start::Relative };
    let timer = timer(cx, id)?;
    let before = timer.set(cx.kernel(), &cx.kernel().processes.lock(), setting, start);
    cx.memory().write_if(old, &before.to_itimerspec())?;
    Ok(Outcome::OK)
}

/// Handles `timer_gettime(id, setting)`.
pub(super) fn sys_timer_gettime(cx: &mut SyscallCx<'_>, id: Int, setting: Address) -> SyscallResult {
    let timer = timer(cx, id)?;
    let left = timer.left(cx.kernel(), &cx.kernel().processes.lock());
    cx.memory().write(setting, &left.to_itimerspec())?;
    Ok(Outcome::OK)
}

/// Handles `timer_getoverrun(id)`.
pub(super) fn sys_timer_getoverrun(cx: &mut SyscallCx<'_>, id: Int) -> SyscallResult {
    Ok(timer(cx, id)?.overrun().into())
}

/// Handles `timer_delete(id)`.
pub(super) fn sys_timer_delete(cx: &mut SyscallCx<'_>, id: Int) -> SyscallResult {
    if cx.group().timers.remove(id) { Ok(Outcome::OK) } else { Err(fail(errno::EINVAL, "no such timer")) }
}

fn interval_kind(which: Int) -> Result<IntervalKind, Fail> {
    IntervalKind::new(which).ok_or(fail(errno::EINVAL, "unknown `which`"))
}

fn set_interval(cx: &SyscallCx<'_>, kind: IntervalKind, setting: Setting) -> Setting {
    let tree = cx.kernel().processes.lock();
    cx.group().timers.set_interval(cx.kernel(), &tree, cx.group(), kind, setting)
}

/// Handles `setitimer(which, new, old)`; no new setting stops it, as in Linux.
pub(super) fn sys_setitimer(cx: &mut SyscallCx<'_>, which: Int, new: Address, old: Address) -> SyscallResult {
    let kind = interval_kind(which)?;
    let setting = if new.is_null() {
        Setting::default()
    } else {
        Setting::from_itimerval(cx.memory().read::<Itimerval>(new)?)?
    };
    let before = set_interval(cx, kind, setting);
    cx.memory().write_if(old, &before.to_itimerval())?;
    Ok(Outcome::OK)
}

/// Handles `getitimer(which, setting)`.
pub(super) fn sys_getitimer(cx: &mut SyscallCx<'_>, which: Int, setting: Address) -> SyscallResult {
    let kind = interval_kind(which)?;
    let left = cx.group().timers.interval(cx.kernel(), &cx.kernel().processes.lock(), kind);
    cx.memory().write(setting, &left.to_itimerval())?;
    Ok(Outcome::OK)
}

/// Handles `alarm(seconds)`: returns what was left of the alarm before, in whole seconds and never rounded to nothing.
pub(super) fn sys_alarm(cx: &mut SyscallCx<'_>, seconds: UInt) -> SyscallResult {
    let setting = Setting { value: Duration::from_secs(u64::from(seconds)), interval: Duration::ZERO };
    Ok(whole_seconds(set_interval(cx, IntervalKind::Real, setting).value).into())
}

fn whole_seconds(left: Duration) -> u64 {
    let rounds_up = left.subsec_micros() >= 500_000 || (left.as_secs() == 0 && !left.is_zero());
    left.as_secs() + u64::from(rounds_up)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_are_rounded_as_in_linux() {
        for (ms, seconds) in [(0, 0), (1, 1), (999, 1), (1499, 1), (1500, 2), (2000, 2)] {
            assert_eq!(whole_seconds(Duration::from_millis(ms)), seconds);
        }
    }
}
