//! Runs a command of the host to its end, with a time limit.

use std::fmt;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
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
    let ended = wait(&mut child, start + limit)?;
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

/// Waits for the end of the child, or for the time.
fn wait(child: &mut Child, until: Instant) -> Result<Option<ExitStatus>> {
    let mut pause = Duration::from_micros(500);
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for the command")? {
            return Ok(Some(status));
        }
        if Instant::now() >= until {
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn kill_group(child: &Child) {
    if let Ok(id) = i32::try_from(child.id()) {
        // It fails only when nothing is left of the group.
        let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
    }
}

/// Output being read by a thread of its own, bounded so that a runaway program cannot eat the machine's memory.
type Collector = (thread::JoinHandle<()>, std::sync::mpsc::Receiver<Vec<u8>>);

fn collect(pipe: impl Read + Send + 'static) -> Collector {
    const MOST: u64 = 64 << 20;
    let (send, receive) = std::sync::mpsc::channel();
    let reader = thread::spawn(move || {
        let mut pipe = pipe.take(MOST);
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            if send.send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    (reader, receive)
}

/// The collected text. A container that was only created still holds the pipe: it does not get to stall the test.
fn text_of((_reader, receive): Collector) -> String {
    const SILENCE: Duration = Duration::from_millis(200);
    let mut bytes = Vec::new();
    while let Ok(chunk) = receive.recv_timeout(SILENCE) {
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
