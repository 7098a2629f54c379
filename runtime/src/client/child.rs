//! A command that was started.

use std::fs;
use std::io::{self, Write};
use std::process::{Child as HostChild, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tempfile::TempDir;

use super::ClientError;
use crate::streams::{End, Read, read_both, wait_for};

/// What came out of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How it ended: its exit code, or 128+N if signal N ended it.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

/// A command that was started. It is killed when this is dropped.
#[derive(Debug)]
pub struct Child {
    /// Its standard input.
    pub stdin: Option<ChildStdin>,
    /// Its standard output.
    pub stdout: Option<ChildStdout>,
    /// Its standard error.
    pub stderr: Option<ChildStderr>,
    process: HostChild,
    has_ended: bool,
    /// Removes what is left of the container.
    delete: Command,
    /// Holds the configuration, and the runtime's log.
    bundle: TempDir,
}

impl Child {
    pub(super) fn new(mut process: HostChild, delete: Command, bundle: TempDir, input: Vec<u8>) -> Self {
        let mut stdin = process.stdin.take();
        if !input.is_empty()
            && let Some(mut pipe) = stdin.take()
        {
            // A command that does not read its input is no error; the pipe is closed when it ends.
            thread::spawn(move || pipe.write_all(&input));
        }
        let (stdout, stderr) = (process.stdout.take(), process.stderr.take());
        Self { stdin, stdout, stderr, process, has_ended: false, delete, bundle }
    }

    /// Waits for its end, after closing its standard input.
    ///
    /// # Errors
    ///
    /// [`ClientError::Sandbox`] if the sandbox failed.
    pub fn wait(&mut self) -> Result<ExitStatus, ClientError> {
        drop(self.stdin.take());
        let status = self.process.wait().map_err(ClientError::host("wait for the command"))?;
        self.has_ended = true;
        // The runtime says by its log that it is not the command's exit code that it ends with.
        match failure_in(&fs::read_to_string(self.bundle.path().join("log")).unwrap_or_default()) {
            Some(message) => Err(ClientError::Sandbox(message)),
            None => Ok(status),
        }
    }

    /// Kills it with all of its sandbox.
    ///
    /// # Errors
    ///
    /// What is left of it cannot be removed.
    pub fn kill(&mut self) -> Result<(), ClientError> {
        if std::mem::replace(&mut self.has_ended, true) {
            return Ok(());
        }
        // The sandbox dies with the runtime's process. Neither fails unless it was waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.delete.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let deleted = self.delete.output().map_err(ClientError::host("remove the sandbox"))?;
        match deleted.status.success() {
            true => Ok(()),
            false => Err(ClientError::Sandbox(String::from_utf8_lossy(&deleted.stderr).trim().to_owned())),
        }
    }

    /// Waits for its end and collects what it writes.
    ///
    /// # Errors
    ///
    /// The sandbox failed, or the command was killed, as it did not end in time or wrote more than `limit` bytes.
    pub(super) fn collect(mut self, timeout: Option<Duration>, limit: usize) -> Result<Output, ClientError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        drop(self.stdin.take());
        let (out, err) = (self.stdout.take(), self.stderr.take());
        let read = read_both(out, err, deadline, limit);
        let Read { mut end, stdout, stderr } =
            read.map_err(ClientError::host("read what the command writes"))?;
        if matches!(end, End::Reached) && !self.ends_by(deadline)? {
            end = End::TimedOut;
        }
        match end {
            End::Reached => Ok(Output { status: self.wait()?, stdout, stderr }),
            End::TimedOut => {
                self.kill()?;
                Err(ClientError::TimedOut(timeout.unwrap_or_default()))
            }
            End::OverLimit => {
                self.kill()?;
                Err(ClientError::OutputLimit(limit))
            }
        }
    }

    /// Whether it ends by then.
    fn ends_by(&self, deadline: Option<Instant>) -> Result<bool, ClientError> {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        let pid =
            pid.ok_or_else(|| ClientError::host("wait for the command")(io::ErrorKind::NotFound.into()))?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty())
            .map_err(|errno| ClientError::host("wait for the command")(errno.into()))?;
        wait_for(&mut [PollFd::new(&pidfd, PollFlags::IN)], deadline)
            .map_err(ClientError::host("wait for the command"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.kill();
    }
}

/// The failure that the runtime tells in its log, if there is one.
fn failure_in(log: &str) -> Option<String> {
    log.lines().find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        (line.get("level")? == "error").then(|| line.get("msg")?.as_str().map(str::to_owned)).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_found_in_the_log() {
        let log = "{\"level\":\"warning\",\"msg\":\"w\"}\nnoise\n{\"level\":\"error\",\"msg\":\"broken\"}\n";
        assert_eq!(failure_in(log), Some("broken".to_owned()));
        assert_eq!(failure_in(""), None);
    }
}
