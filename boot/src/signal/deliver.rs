//! What happens to signals on the way back to guest code.

use cloister_platform::Exception;

use super::{Signal, SignalInfo};
use crate::error::Restart;
use crate::prelude::{Kernel, SyscallCx, Task, errno};
use crate::task::{self, ExitStatus, ThreadGroup};

/// What the look at a task's signals ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BeforeUser {
    /// Guest code goes on, with the registers as they are now.
    Resume,
    /// The task is stopped by job control.
    Stopped,
    /// The task is gone.
    Exited,
}

/// Returns whether a signal is to be handled before guest code goes on.
pub(crate) fn has_deliverable(task: &Task) -> bool {
    let group = task.group().state();
    if group.exit.is_some() {
        return true;
    }
    let shared = group.signals.pending.set();
    drop(group);
    let signals = task.signals.lock();
    !signals.pending.set().or(shared).without(signals.blocked).is_empty()
}

/// Handles what is pending before guest code goes on.
pub(crate) fn before_user(cx: &mut SyscallCx<'_>) -> BeforeUser {
    let exit = cx.group().state().exit;
    if let Some(status) = exit {
        task::exit_task(cx, status);
        return BeforeUser::Exited;
    }
    let blocked = cx.task.signals.lock().blocked;
    let allowed = super::SignalSet::ALL.without(blocked);
    let own = cx.task.signals.lock().pending.take(allowed);
    let info = own.or_else(|| cx.group().state().signals.pending.take(allowed));
    if let Some(info) = info {
        let ignored = [Signal::CHLD, Signal::URG, Signal::WINCH, Signal::CONT];
        if !ignored.contains(&info.signal) {
            let status = ExitStatus::Signaled { signal: info.signal.number(), core_dumped: false };
            task::exit_group(cx, status);
            return BeforeUser::Exited;
        }
    }
    if let (Some(restart), Some(call)) = (cx.run.restart.take(), cx.run.call.take()) {
        let registers = cx.registers_mut();
        registers.rip -= 2;
        registers.rax = call.number;
        if restart == Restart::Block {
            cx.registers_mut().rax = 219;
            cx.run.restart_block = Some(call);
        }
        let _ = errno::EINTR;
    }
    BeforeUser::Resume
}

/// Sends the signal of a processor exception to the task that caused it.
pub(crate) fn on_exception(cx: &mut SyscallCx<'_>, exception: &Exception) {
    let Ok(signal) = Signal::new(exception.signal) else { return };
    let mut info = SignalInfo { signal, code: exception.code, fields: [0; 14] };
    info.fields[0] = exception.address;
    let mut signals = cx.task.signals.lock();
    signals.blocked.remove(signal);
    let _ = signals.pending.push(info, usize::MAX);
}

/// Ends the process of a task whose host thread was killed from outside.
pub(crate) fn on_host_kill(cx: &mut SyscallCx<'_>, signal: i32) {
    tracing::warn!(tid = cx.task.tid(), signal, "the host killed a guest thread");
    let signal = Signal::KILL.number();
    let mut state = cx.group().state();
    state.exit.get_or_insert(ExitStatus::Signaled { signal, core_dumped: false });
}

/// Sends a signal to a thread group.
pub(crate) fn send_to_group(kernel: &Kernel, group: &ThreadGroup, info: SignalInfo) {
    let _ = group.state().signals.pending.push(info, 1024);
    let tree = kernel.processes.lock();
    let Some(process) = tree.process(group.tgid()) else { return };
    for task in &process.tasks {
        task.kick();
    }
}
