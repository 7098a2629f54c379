//! The way from a register to a handler, and back.

use serde::{Deserialize, Serialize};

use super::state::SyscallState;
use super::table_x86_64::lookup;
use crate::context::SyscallCx;
use crate::error::{Fail, Outcome, Restart, SyscallResult, fail};
use crate::kernel::Park;
use crate::prelude::{errno, uapi};
use crate::seccomp;
use crate::time::Instant;

/// A system call that a task is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Call {
    /// Its number.
    pub(crate) number: u64,
    /// Its argument registers.
    pub(crate) arguments: [u64; 6],
    /// What it kept when it went to wait.
    pub(crate) state: Option<SyscallState>,
    /// When it began, as far as somebody can ask: it waits, or the strace is on.
    pub(crate) began: Option<Instant>,
    /// Whether it has waited, and the strace has said so.
    pub(crate) has_waited: bool,
}

/// How far a call has come.
#[derive(Debug)]
pub(crate) enum Progress {
    /// It is over, and the registers hold its result.
    Done,
    /// A signal interrupted it: the delivery of the signal decides between `EINTR` and a restart.
    Interrupted(Restart),
    /// It waits.
    Waits(Park),
    /// The task is gone.
    Exited,
}

/// Begins the call that the task's registers ask for.
pub(crate) fn enter(cx: &mut SyscallCx<'_>) -> Progress {
    cx.kernel().count_syscall();
    let registers = cx.registers();
    let mut call = Call {
        number: registers.syscall_number(),
        arguments: registers.syscall_arguments(),
        state: None,
        began: cx.kernel().strace.shows(registers.syscall_number()).then(|| cx.kernel().clock.monotonic()),
        has_waited: false,
    };
    if cx.task.seccomp.is_on()
        && let Some(result) = seccomp::check(cx, &call)
    {
        return finish(cx, call.began.is_some().then_some(&call), &result);
    }
    // A call that goes on where the one that a signal interrupted had come to: restart_syscall(2).
    if call.number == u64::from(uapi::__NR_restart_syscall) {
        match cx.run.restart_block.take() {
            Some(interrupted) => call = interrupted,
            None => {
                cx.registers_mut().rax = errno::EINTR.to_register();
                return Progress::Done;
            }
        }
    } else {
        cx.run.restart_block = None;
    }
    cx.run.call = Some(call);
    proceed(cx)
}

/// Runs the handler of the call that the task is in, for the first time or after a wait.
pub(crate) fn proceed(cx: &mut SyscallCx<'_>) -> Progress {
    let Some(Call { number, arguments, .. }) = cx.run.call else { return Progress::Done };
    // One that ends the task, or executes a program, is not there any more when it is over.
    let traced = if cx.kernel().strace.shows(number) { cx.run.call.clone() } else { None };
    cx.run.registrations.clear();
    let result = run_handler(cx, number, arguments);
    if !matches!(result, Err(Fail::Park(_))) {
        cx.run.registrations.clear();
        cx.run.held = None;
    }
    finish(cx, traced.as_ref(), &result)
}

/// Ends a call, or has it wait, as its result says.
fn finish(cx: &mut SyscallCx<'_>, traced: Option<&Call>, result: &SyscallResult) -> Progress {
    cloister_sync::assert_only_held(cloister_sync::class::TASK_RUN);
    if let Some(call) = traced {
        trace(cx, call, result);
    }
    match *result {
        Ok(Outcome::Value(value)) => {
            cx.run.call = None;
            cx.registers_mut().rax = value;
            Progress::Done
        }
        Ok(Outcome::RegistersSet) => {
            cx.run.call = None;
            Progress::Done
        }
        Ok(Outcome::Exited) => Progress::Exited,
        Err(Fail::Errno(errno, _)) => {
            cx.run.call = None;
            cx.registers_mut().rax = errno.to_register();
            Progress::Done
        }
        Err(Fail::Restart(restart)) => Progress::Interrupted(restart),
        Err(Fail::Park(park)) => {
            let now = cx.kernel().clock.monotonic();
            if let Some(call) = &mut cx.run.call {
                call.began.get_or_insert(now);
            }
            Progress::Waits(park)
        }
    }
}

fn run_handler(cx: &mut SyscallCx<'_>, number: u64, arguments: [u64; 6]) -> SyscallResult {
    let Some(handler) = lookup(number).and_then(|row| row.handler) else {
        cx.kernel().unimplemented.report(number, &cx.task.name());
        return Err(fail(errno::ENOSYS, "not implemented"));
    };
    handler(cx, arguments)
}

fn trace(cx: &mut SyscallCx<'_>, call: &Call, result: &SyscallResult) {
    let waits = matches!(result, Err(Fail::Park(_)));
    if waits && call.has_waited {
        return;
    }
    if let Some(call) = &mut cx.run.call {
        call.has_waited = waits;
    }
    let now = cx.kernel().clock.monotonic();
    let took = now.saturating_duration_since(call.began.unwrap_or(now));
    cx.kernel().strace.log(cx, call, result, took);
}
