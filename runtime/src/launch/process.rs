//! A process that was started, and its end.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

/// A child process, held by a pidfd. It is killed and reaped when this is dropped, unless it was
/// [released](Self::release).
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    pidfd: OwnedFd,
    /// Whether dropping kills: neither reaped nor released yet.
    armed: bool,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Process {
    /// Takes charge of a child.
    pub(super) fn new(pid: Pid, pidfd: OwnedFd) -> Self {
        Self { pid, pidfd, armed: true }
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends `SIGKILL`.
    pub fn kill(&self) {
        // Fails only if the process has ended, which is what is wanted.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Waits for the end and reaps; `None` after the time-out.
    ///
    /// # Errors
    ///
    /// The system's, `ECHILD` when it was reaped before.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Option<Exit>, Errno> {
        if let Some(timeout) = timeout {
            let timeout = Timespec::try_from(timeout).map_err(|_| Errno::INVAL)?;
            let mut ends = [PollFd::new(&self.pidfd, PollFlags::IN)];
            if retry_on_intr(|| poll(&mut ends, Some(&timeout)))? == 0 {
                return Ok(None);
            }
        }
        let status = retry_on_intr(|| waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED))?;
        self.armed = false;
        Ok(status.map(|status| match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, signal) => Exit::Signal(signal.unwrap_or_default()),
        }))
    }

    /// Lets the process live on after this value.
    pub fn release(mut self) {
        self.armed = false;
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.armed {
            self.kill();
            let _ = self.wait(None);
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}
