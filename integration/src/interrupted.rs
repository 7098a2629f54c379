//! A command that is interrupted at one of its system calls.

#![expect(unsafe_code, reason = "a process becomes a tracee between its fork and its exec")]

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::Status;
use crate::processes::Process;

/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a command to its end, and returns the number of its *points*: there is one before and one after each system call
/// of its first thread.
///
/// # Errors
/// When it cannot be run.
pub fn count(command: &mut Command) -> Result<u64> {
    let mut nr_points = 0;
    run(command, |_| {
        nr_points += 1;
        Next::Go
    })?;
    Ok(nr_points)
}

/// Runs a command up to its point `number`, counted from 1, does `work` while it stands there, and lets it go to its end.
///
/// # Errors
/// When it cannot be run.
pub fn at(command: &mut Command, number: u64, work: impl FnOnce(Process)) -> Result<Status> {
    let mut left = number;
    let mut work = Some(work);
    run(command, |process| {
        left = left.saturating_sub(1);
        match work.take_if(|_| left == 0) {
            None => Next::Go,
            Some(work) => {
                work(process);
                Next::Leave
            }
        }
    })
}

/// What a command does next.
enum Next {
    /// It goes to its next point.
    Go,
    /// It goes to its end.
    Leave,
}

fn run(command: &mut Command, at_point: impl FnMut(Process) -> Next) -> Result<Status> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: the closure makes one system call.
    unsafe { command.pre_exec(|| ptrace::traceme().map_err(Into::into)) };
    let child = command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    thread::scope(|scope| {
        let (done, is_done) = mpsc::channel::<()>();
        scope.spawn(move || {
            if is_done.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
                // A failure means that it has just ended.
                let _ = kill(pid, Signal::SIGKILL);
            }
        });
        let status = follow(pid, at_point);
        drop(done);
        status
    })
}

/// Follows a tracee from its exec to its end.
fn follow(pid: Pid, mut at_point: impl FnMut(Process) -> Next) -> Result<Status> {
    let mut is_traced = true;
    loop {
        let signal = match waitpid(pid, None).context("cannot wait for the command")? {
            WaitStatus::Exited(_, code) => return Ok(Status::Code(code)),
            WaitStatus::Signaled(_, signal, _) => return Ok(Status::Signal(signal as i32)),
            WaitStatus::PtraceSyscall(_) => {
                is_traced = matches!(at_point(Process(pid.as_raw())), Next::Go);
                None
            }
            WaitStatus::Stopped(_, Signal::SIGTRAP) => {
                // It has executed its program. Should this process end, so does the command.
                let options = ptrace::Options::PTRACE_O_TRACESYSGOOD | ptrace::Options::PTRACE_O_EXITKILL;
                ptrace::setoptions(pid, options).context("cannot trace the command")?;
                None
            }
            WaitStatus::Stopped(_, signal) => Some(signal),
            other => bail!("the command came to {other:?}"),
        };
        // These fail when it was killed, which the next wait tells.
        let _ = if is_traced { ptrace::syscall(pid, signal) } else { ptrace::detach(pid, signal) };
    }
}
