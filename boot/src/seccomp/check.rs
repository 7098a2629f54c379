//! A call that begins.

use cloister_bpf::Data;

use super::{Action, Mode};
use crate::context::SyscallCx;
use crate::error::{Errno, Outcome, SyscallResult, fail};
use crate::prelude::{errno, uapi};
use crate::signal::{self, Signal, SignalInfo};
use crate::syscall::{Argument, Call, UInt};
use crate::task::{self, ExitStatus};

/// `AUDIT_ARCH_X86_64`: there are no other calls.
const ARCHITECTURE: u32 = 0xc000_003e;

/// `SYS_SECCOMP`: the `si_code` of the `SIGSYS` of [`Action::Trap`].
const SYS_SECCOMP: i32 = 1;

/// Looks at a call that begins. `None`: it may be made; otherwise what it ends with instead.
pub(crate) fn check(cx: &mut SyscallCx<'_>, call: &Call) -> Option<SyscallResult> {
    let filters = match cx.task.seccomp.mode() {
        Mode::Disabled => return None,
        Mode::Strict => return check_strict(cx, call),
        Mode::Filter(filters) => filters,
    };
    // As in Linux the number is an `int`.
    let number = UInt::from_register(call.number);
    let instruction_pointer = cx.registers().rip;
    let data = Data::new(number, ARCHITECTURE, instruction_pointer, call.arguments);
    let (action, logs) = filters.judge(&data);
    if logs || action == Action::Log {
        let name = String::from_utf8_lossy(&cx.task.name()).into_owned();
        tracing::info!(tid = cx.task.tid(), name, call = number, ?action, "a seccomp filter has judged");
    }
    match action {
        Action::Allow | Action::Log => None,
        Action::Errno(0) => Some(Ok(Outcome::OK)),
        Action::Errno(number) => {
            Some(Err(fail(Errno::from_raw(number.into()), "refused by a seccomp filter")))
        }
        Action::Trace => Some(Err(fail(errno::ENOSYS, "a seccomp filter asks a tracer, and there is none"))),
        Action::Trap(data) => {
            cx.registers_mut().rax = call.number;
            let mut info = SignalInfo::fault(Signal::SYS, SYS_SECCOMP, instruction_pointer);
            info.errno = data.into();
            info.fields[1] = u64::from(number) | u64::from(ARCHITECTURE) << 32;
            signal::force(cx, info);
            Some(Ok(Outcome::RegistersSet))
        }
        Action::KillThread => Some(Ok(kill_thread(cx, Signal::SYS))),
        Action::KillProcess => {
            let status = ExitStatus::Signaled { signal: Signal::SYS.number(), core_dumped: false };
            task::exit_group(cx, status);
            Some(Ok(Outcome::Exited))
        }
    }
}

/// Strict mode: any other call than these four ends the thread as by `SIGKILL`.
fn check_strict(cx: &mut SyscallCx<'_>, call: &Call) -> Option<SyscallResult> {
    const ALLOWED: [u32; 4] = [uapi::__NR_read, uapi::__NR_write, uapi::__NR_exit, uapi::__NR_rt_sigreturn];
    if ALLOWED.iter().any(|allowed| u64::from(*allowed) == call.number) {
        return None;
    }
    Some(Ok(kill_thread(cx, Signal::KILL)))
}

/// Ends the calling thread.
fn kill_thread(cx: &mut SyscallCx<'_>, signal: Signal) -> Outcome {
    task::exit_task(cx, ExitStatus::Signaled { signal: signal.number(), core_dumped: false });
    Outcome::Exited
}
