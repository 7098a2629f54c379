//! Runs a command of the host to its end, with a time limit.

use std::fmt;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It exited with this code.
    Code(i32),
    /// It was killed by this signal.
    Signal(i32),
    /// It did not end within its time limit and was killed.
    TimedOut,
}

/// What came out of a command.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: Status,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// From its start to its end.
    pub took: Duration,
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "status: {:?} after {:?}", self.status, self.took)?;
        writeln!(f, "--- standard output\n{}", tail(&self.stdout))?;
        write!(f, "--- standard error\n{}", tail(&self.stderr))
    }
}

/// The end of a long text.
fn tail(text: &str) -> String {
    const KEPT: usize = 4000;
    match text.char_indices().rev().nth(KEPT) {
        Some((start, _)) => format!("[...]{}", &text[start..]),
        None => text.to_owned(),
    }
}

/// Runs the command with `input` on its standard input; it and its process group are killed after `limit`.
///
/// # Errors
/// When the command cannot be started or waited for.
pub fn run(command: &mut Command, input: &[u8], limit: Duration) -> Result<Finished> {
    let start = Instant::now();
    let stdin = if input.is_empty() { Stdio::null() } else { Stdio::piped() };
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {:?}", command.get_program()))?;
    if let Some(mut pipe) = child.stdin.take() {
        let input = input.to_vec();
        // A command that does not read its input is no error.
        thread::spawn(move || pipe.write_all(&input));
    }
    let stdout = child.stdout.take().map(collect);
    let stderr = child.stderr.take().map(collect);
    let ended = wait(&mut child, limit)?;
    let took = start.elapsed();
    if ended.is_none() {
        kill_group(&child);
        child.wait().context("cannot wait for the killed command")?;
    }
    Ok(Finished {
        status: ended.map_or(Status::TimedOut, status_of),
        stdout: stdout.map(text_of).unwrap_or_default(),
        stderr: stderr.map(text_of).unwrap_or_default(),
        took,
    })
}

fn status_of(status: ExitStatus) -> Status {
    match (status.code(), status.signal()) {
        (Some(code), _) => Status::Code(code),
        (None, signal) => Status::Signal(signal.unwrap_or(0)),
    }
}

/// Waits for the end of the child, but not beyond a time.
fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let pid = Pid::from_raw(i32::try_from(child.id()).context("the command has an odd number")?);
    let (sender, has_ended) = mpsc::channel();
    // It sees the end at once, and leaves the child to be waited for: until then the number is that of nothing else.
    thread::spawn(move || {
        while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
        // Nobody may be left who wants to know.
        let _ = sender.send(());
    });
    match has_ended.recv_timeout(limit) {
        Ok(()) => Ok(Some(child.wait().context("cannot wait for the command")?)),
        Err(_) => Ok(None),
    }
}

fn kill_group(child: &Child) {
    if let Ok(id) = i32::try_from(child.id()) {
        // It fails only when nothing is left of the group.
        let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
    }
}

/// Output being read by a thread of its own, until this says that nobody is left who should write.
struct Collector {
    reader: thread::JoinHandle<Vec<u8>>,
    has_ended: Arc<AtomicBool>,
}

/// Begins to read, but not more than a bound: a runaway program cannot eat the machine's memory.
fn collect(mut pipe: impl Read + AsFd + Send + 'static) -> Collector {
    const MOST: usize = 64 << 20;
    /// A container that was only created still holds the pipe: it does not get to stall the test.
    const SILENCE_MS: u8 = 200;
    let has_ended = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&has_ended);
    let reader = thread::spawn(move || {
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        while bytes.len() < MOST {
            let had_ended = ended.load(Ordering::Acquire);
            match poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], SILENCE_MS) {
                Ok(0) if had_ended => break,
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) => {}
                Err(_) => break,
            }
            match pipe.read(&mut buffer) {
                Ok(count @ 1..) => bytes.extend_from_slice(&buffer[..count]),
                _ => break,
            }
        }
        bytes
    });
    Collector { reader, has_ended }
}

/// The collected text, after the command has ended.
fn text_of(collector: Collector) -> String {
    collector.has_ended.store(true, Ordering::Release);
    let bytes = collector.reader.join().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
