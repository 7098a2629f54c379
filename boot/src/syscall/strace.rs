//! The kernel's own strace: every call with decoded arguments, result and time.

use std::fmt::Write;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::Call;
use super::table_x86_64::{TABLE, lookup};
use crate::context::SyscallCx;
use crate::error::{Fail, Outcome, SyscallResult};
use crate::prelude::uapi;
use crate::task::Task;

/// A set of system calls, written as `all`, `none`, or their names with commas between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CallSet([u64; WORDS]);

/// How many words have a bit for each call.
const WORDS: usize = 8;
/// The bit of all numbers that are too large to be a call's.
const NO_CALL: u64 = 64 * WORDS as u64 - 1;

/// There is no such system call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no system call; give names such as openat,read, or all, or none")]
pub(crate) struct UnknownCall(String);

impl CallSet {
    const NONE: Self = Self([0; WORDS]);
    const ALL: Self = Self([u64::MAX; WORDS]);
}

impl FromStr for CallSet {
    type Err = UnknownCall;

    fn from_str(text: &str) -> Result<Self, UnknownCall> {
        match text {
            "all" => return Ok(Self::ALL),
            "none" => return Ok(Self::NONE),
            _ => {}
        }
        let mut set = Self::NONE;
        for name in text.split(',') {
            let row =
                TABLE.iter().find(|row| row.name == name).ok_or_else(|| UnknownCall(name.to_owned()))?;
            let (word, bit) = place(row.number.into());
            set.0[word] |= bit;
        }
        Ok(set)
    }
}

/// Which word and which bit of it is a call's.
fn place(number: u64) -> (usize, u64) {
    let number = number.min(NO_CALL);
    (usize::try_from(number / 64).unwrap_or(WORDS - 1), 1 << (number % 64))
}

/// Which calls are logged.
#[derive(Debug, Default)]
pub(crate) struct Strace {
    /// Whether any is.
    is_on: AtomicBool,
    calls: [AtomicU64; WORDS],
}

impl Strace {
    /// Logs these calls at first.
    pub(crate) fn new(calls: &CallSet) -> Self {
        let strace = Self::default();
        strace.set(calls);
        strace
    }

    /// Logs these calls from now on.
    pub(crate) fn set(&self, calls: &CallSet) {
        for (word, bits) in self.calls.iter().zip(calls.0) {
            word.store(bits, Ordering::Relaxed);
        }
        self.is_on.store(*calls != CallSet::NONE, Ordering::Relaxed);
    }

    /// Returns whether any calls are logged.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Returns whether the call `number` is logged.
    pub(crate) fn shows(&self, number: u64) -> bool {
        let (word, bit) = place(number);
        self.is_on() && self.calls[word].load(Ordering::Relaxed) & bit != 0
    }

    /// Logs the execution of a process' first program, which no call asked for.
    pub(crate) fn log_first_program(&self, task: &Task, path: &[u8], arguments: &[Vec<u8>], succeeded: bool) {
        if !self.shows(uapi::__NR_execve.into()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_calls_are_read() {
        let strace = Strace::new(&"read,openat".parse().unwrap());
        let shown: Vec<u64> = (0..1000).filter(|number| strace.shows(*number)).collect();
        assert_eq!(shown, [uapi::__NR_read.into(), u64::from(uapi::__NR_openat)]);
        strace.set(&"all".parse().unwrap());
        assert!(strace.shows(0) && strace.shows(462) && strace.shows(u64::MAX));
        strace.set(&"none".parse().unwrap());
        assert!(!strace.is_on() && !strace.shows(0));
        assert_eq!("read,nope".parse::<CallSet>(), Err(UnknownCall("nope".into())));
        "".parse::<CallSet>().unwrap_err();
    }

    #[test]
    fn every_call_has_a_bit_of_its_own() {
        assert!(TABLE.iter().all(|row| u64::from(row.number) < NO_CALL));
    }
}
