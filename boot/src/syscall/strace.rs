//! The kernel's own strace: every call with decoded arguments, result and time.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Call;
use super::table_x86_64::lookup;
use crate::context::SyscallCx;
use crate::error::{Fail, Outcome, SyscallResult};
use crate::task::Task;

/// The switch of the strace.
#[derive(Debug)]
pub(crate) struct Strace {
    on: AtomicBool,
}

impl Strace {
    /// Makes the switch in its first position.
    pub(crate) fn new(on: bool) -> Self {
        Self { on: AtomicBool::new(on) }
    }

    /// Switches it.
    pub(crate) fn set(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// Returns whether calls are logged.
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Logs the execution of a process' first program, which no call asked for.
    pub(crate) fn log_first_program(&self, task: &Task, path: &[u8], arguments: &[Vec<u8>], succeeded: bool) {
        if !self.is_on() {
            return;
        }
        let text = |bytes: &[u8]| format!("{:?}", String::from_utf8_lossy(bytes));
        let arguments: Vec<String> = arguments.iter().map(|argument| text(argument)).collect();
        let result = if succeeded { "0" } else { "-1" };
        let (tid, path, arguments) = (task.tid(), text(path), arguments.join(", "));
        tracing::info!(target: "strace", "[{tid}] execve(path={path}, argv=[{arguments}]) = {result}");
    }

    /// Logs a call that has ended, or has gone to sleep for the first time.
    pub(crate) fn log(&self, cx: &SyscallCx<'_>, call: &Call, result: &SyscallResult, took: Duration) {
        let line = line(cx, call, result).unwrap_or_default();
        let (tid, name) = (cx.task.tid(), cx.task.name());
        tracing::info!(target: "strace", "[{tid} {}] {line} <{:.6}>", String::from_utf8_lossy(&name), took.as_secs_f64());
    }
}

fn line(cx: &SyscallCx<'_>, call: &Call, result: &SyscallResult) -> Result<String, std::fmt::Error> {
    let mut line = String::with_capacity(128);
    let memory = cx.memory();
    match lookup(call.number) {
        Some(row) => {
            write!(line, "{}(", row.name)?;
            for (i, ((name, format), raw)) in row.arguments.iter().zip(call.arguments).enumerate() {
                let separator = if i == 0 { "" } else { ", " };
                write!(line, "{separator}{name}=")?;
                format.write(&mut line, raw, Some(&memory))?;
            }
        }
        None => write!(line, "syscall_{}(", call.number)?,
    }
    match result {
        Ok(Outcome::Value(value)) if *value > 0xffff_ffff => write!(line, ") = {value:#x}")?,
        Ok(Outcome::Value(value)) => write!(line, ") = {value}")?,
        Ok(Outcome::RegistersSet | Outcome::Exited) => write!(line, ") = ?")?,
        Err(Fail::Errno(errno, "")) => write!(line, ") = -1 {errno:?}")?,
        Err(Fail::Errno(errno, cause)) => write!(line, ") = -1 {errno:?} [{cause}]")?,
        Err(Fail::Restart(restart)) => write!(line, ") = ? Restart::{restart:?}")?,
        Err(Fail::Park(_)) => write!(line, " <waits ...>")?,
    }
    Ok(line)
}
