//! Waiting for signals: `pause(2)`, `rt_sigsuspend(2)`, `rt_sigtimedwait(2)`.

use cloister_abi::signal::SigInfo;
use cloister_abi::time::Timespec;

use super::signal_state::check_set_size;
use super::{Address, Size};
use crate::event::Events;
use crate::prelude::*;
use crate::signal::SignalSet;
use crate::time;

/// Handles `pause()`.
pub(super) fn sys_pause(cx: &mut SyscallCx<'_>) -> SyscallResult {
    Err(cx.park(None, Restart::NoHand))
}

/// Handles `rt_sigsuspend(set, size)`.
pub(super) fn sys_rt_sigsuspend(cx: &mut SyscallCx<'_>, set: Address, size: Size) -> SyscallResult {
    check_set_size(size)?;
    let set = SignalSet::mask(cx.memory().read(set)?);
    cx.set_temporary_mask(set);
    Err(cx.park(None, Restart::NoHand))
}

/// Handles `rt_sigtimedwait(set, info, timeout, size)`: also what `sigwait(3)` and `sigwaitinfo(2)` call.
///
/// Any other signal ends the wait with `EINTR`, whatever its action.
pub(super) fn sys_rt_sigtimedwait(
    cx: &mut SyscallCx<'_>,
    set: Address,
    info: Address,
    timeout: Address,
    size: Size,
) -> SyscallResult {
    check_set_size(size)?;
    let set = SignalSet::mask(cx.memory().read(set)?);
    let timeout =
        if timeout.is_null() { None } else { Some(time::duration(cx.memory().read::<Timespec>(timeout)?)?) };
    let deadline = cx.deadline(timeout);
    let queue = cx.group().signal_events.clone();
    let attempt =
        |cx: &mut SyscallCx<'_>| cx.take_signal(set).ok_or(fail(errno::EAGAIN, "no signal is pending"));
    match cx.block_on(&queue, Events::READABLE, deadline, Restart::Sys, attempt) {
        Ok(taken) => {
            cx.memory().write_if::<SigInfo>(info, &taken.to_raw())?;
            Ok(u64::from(taken.signal.number()).into())
        }
        Err(Fail::Restart(_)) => Err(fail(errno::EINTR, "another signal came")),
        Err(failure) => Err(failure),
    }
}
