//! What signals do and which are held back: `rt_sigaction(2)`, `rt_sigprocmask(2)`, `rt_sigpending(2)`,
//! `sigaltstack(2)`, `rt_sigreturn(2)`.

use cloister_abi::signal::{SigAction, Stack};

use super::{Address, Int, Size};
use crate::prelude::*;
use crate::signal::{self, Action, Signal, SignalInfo, SignalSet};

/// Checks the size of a `sigset_t`, which the calls take for the sake of kernels with more signals.
pub(super) fn check_set_size(size: Size) -> Result<(), Fail> {
    if size == size_of::<u64>() { Ok(()) } else { Err(fail(errno::EINVAL, "the size of a signal set is 8")) }
}

/// Handles `rt_sigaction(signal, action, old_action, size)`.
pub(super) fn sys_rt_sigaction(
    cx: &mut SyscallCx<'_>,
    raw_signal: Int,
    action: Address,
    old_action: Address,
    size: Size,
) -> SyscallResult {
    check_set_size(size)?;
    let new = if action.is_null() { None } else { Some(cx.memory().read::<SigAction>(action)?) };
    let signal = Signal::new(raw_signal)?;
    let old = match new {
        Some(_) if SignalSet::UNMASKABLE.contains(signal) => {
            return Err(fail(errno::EINVAL, "`signal` can't be caught or ignored"));
        }
        Some(raw) => cx.set_action(signal, Action::from_raw(&raw)),
        None => cx.task.actions().get(signal),
    };
    cx.memory().write_if(old_action, &old.to_raw())?;
    Ok(Outcome::OK)
}

/// Handles `rt_sigprocmask(how, set, old_set, size)`.
pub(super) fn sys_rt_sigprocmask(
    cx: &mut SyscallCx<'_>,
    how: Int,
    set: Address,
    old_set: Address,
    size: Size,
) -> SyscallResult {
    const SIG_BLOCK: Int = 0;
    const SIG_UNBLOCK: Int = 1;
    const SIG_SETMASK: Int = 2;
    check_set_size(size)?;
    let old = cx.task.signals.lock().blocked;
    if !set.is_null() {
        let set = SignalSet::mask(cx.memory().read(set)?);
        let new = match how {
            SIG_BLOCK => old.or(set),
            SIG_UNBLOCK => old.without(set),
            SIG_SETMASK => set,
            _ => return Err(fail(errno::EINVAL, "unknown `how`")),
        };
        cx.set_mask(new);
    }
    cx.memory().write_if(old_set, &old.0)?;
    Ok(Outcome::OK)
}

/// Handles `rt_sigpending(set, size)`.
pub(super) fn sys_rt_sigpending(cx: &mut SyscallCx<'_>, set: Address, size: Size) -> SyscallResult {
    if size > size_of::<u64>() {
        return Err(fail(errno::EINVAL, "`size` is too large"));
    }
    let shared = cx.group().state().signals.pending.set();
    let pending = {
        let signals = cx.task.signals.lock();
        signals.pending.set().or(shared).and(signals.blocked)
    };
    let bytes = pending.0.to_ne_bytes();
    cx.memory().write_bytes(set, bytes.get(..size).unwrap_or(&bytes))?;
    Ok(Outcome::OK)
}

/// Handles `sigaltstack(stack, old_stack)`.
pub(super) fn sys_sigaltstack(cx: &mut SyscallCx<'_>, stack: Address, old_stack: Address) -> SyscallResult {
    let new = if stack.is_null() { None } else { Some(cx.memory().read::<Stack>(stack)?) };
    let old = cx.exchange_alt_stack(new.as_ref())?;
    cx.memory().write_if(old_stack, &old)?;
    Ok(Outcome::OK)
}

/// Handles `rt_sigreturn()`: the end of a signal handler.
///
/// A frame that is no good gives `SIGSEGV`, as in Linux.
pub(super) fn sys_rt_sigreturn(cx: &mut SyscallCx<'_>) -> SyscallResult {
    if let Err(failure) = signal::pop_frame(cx) {
        tracing::debug!(tid = cx.task.tid(), ?failure, "bad signal frame");
        signal::force(cx, SignalInfo::kernel(Signal::SEGV));
    }
    Ok(Outcome::RegistersSet)
}
