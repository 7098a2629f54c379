//! Signals that a task can't hold back: those of its own faults.

use cloister_platform::Exception;

use super::state::ExceptionCause;
use super::{Action, Handler, Signal, SignalInfo, send};
use crate::prelude::SyscallCx;

/// `SEGV_MAPERR`: nothing is mapped there.
const SEGV_MAPERR: i32 = 1;

/// Sends a signal to the calling task that it can't hold back: if it is blocked or ignored, it gets its default action.
pub(crate) fn force(cx: &SyscallCx<'_>, info: SignalInfo) {
    let shared_actions = cx.task.actions();
    let mut state = cx.group().state();
    let mut actions = shared_actions.lock();
    let mut signals = cx.task.signals.lock();
    let handler = actions.get(info.signal).handler;
    if signals.blocked.contains(info.signal) || handler == Handler::Ignore {
        actions.set(info.signal, Action::default());
        signals.blocked.remove(info.signal);
    }
    if actions.get(info.signal).handler == Handler::Default {
        // A container's first process is not protected from its own faults.
        state.signals.is_init = false;
    }
    // Never of the kind that meets a limit.
    let _ = signals.pending.push(info, usize::MAX);
}

/// Sends `SIGSEGV` to a task on whose stack there is no room for the frame of `signal`.
pub(super) fn on_bad_frame(cx: &SyscallCx<'_>, signal: Signal) {
    if signal == Signal::SEGV {
        // Its handler can't run: it would fail in the same way for ever.
        cx.task.actions().lock().set(Signal::SEGV, Action::default());
    }
    force(cx, SignalInfo::kernel(Signal::SEGV));
}

/// Sends the signal of a processor exception to the task that caused it, unless memory can be made to grow there.
pub(crate) fn on_exception(cx: &mut SyscallCx<'_>, exception: &Exception) {
    let Ok(signal) = Signal::new(exception.signal) else { return };
    if signal == Signal::SEGV && exception.code == SEGV_MAPERR && cx.mm().handle_fault(exception.address) {
        return;
    }
    {
        let mut signals = cx.task.signals.lock();
        let page_fault_address = signals.exception.address;
        signals.exception = cause(signal, exception, page_fault_address);
    }
    force(cx, SignalInfo::fault(signal, exception.code, exception.address));
}

/// Ends the process of a task whose host thread was killed from outside.
pub(crate) fn on_host_kill(cx: &mut SyscallCx<'_>, signal: i32) {
    tracing::warn!(tid = cx.task.tid(), signal, "the host killed a guest thread");
    let tree = cx.kernel().processes.lock();
    if let Some(process) = tree.process(cx.group().tgid()) {
        send::end(process, &mut process.group.state(), Signal::KILL);
    }
}

/// Returns what a frame tells about an exception, as far as it follows from what the host tells (the Intel manual's
/// volume 3, 6.15: exceptions and their numbers). Whether a page fault was a write is not known.
fn cause(signal: Signal, exception: &Exception, page_fault_address: u64) -> ExceptionCause {
    /// The error code of a page fault in user mode.
    const USER: u64 = 4;
    /// The error code of a page fault on a page that is there.
    const PRESENT: u64 = 1;
    const SEGV_ACCERR: i32 = 2;
    const FPE_INTDIV: i32 = 1;
    const TRAP_TRACE: i32 = 2;
    const BUS_ADRALN: i32 = 1;
    let (number, error) = match (signal, exception.code) {
        (Signal::SEGV, SEGV_MAPERR) | (Signal::BUS, 2..) => (14, USER),
        (Signal::SEGV, SEGV_ACCERR) => (14, USER | PRESENT),
        (Signal::BUS, BUS_ADRALN) => (17, 0),
        (Signal::FPE, FPE_INTDIV) => (0, 0),
        (Signal::FPE, _) => (19, 0),
        (Signal::ILL, _) => (6, 0),
        (Signal::TRAP, TRAP_TRACE) => (1, 0),
        (Signal::TRAP, _) => (3, 0),
        _ => (13, 0),
    };
    let address = if number == 14 { exception.address } else { page_fault_address };
    ExceptionCause { number, error, address }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_of_common_faults() {
        let cause = |signal: Signal, code| {
            let exception = Exception { signal: i32::from(signal.number()), code, address: 0x1234 };
            let cause = cause(signal, &exception, 0x99);
            (cause.number, cause.error, cause.address)
        };
        assert_eq!(cause(Signal::SEGV, 1), (14, 4, 0x1234));
        assert_eq!(cause(Signal::SEGV, 2), (14, 5, 0x1234));
        assert_eq!(cause(Signal::SEGV, 0x80), (13, 0, 0x99));
        assert_eq!(cause(Signal::FPE, 1), (0, 0, 0x99));
        assert_eq!(cause(Signal::TRAP, 0x80), (3, 0, 0x99));
    }
}
