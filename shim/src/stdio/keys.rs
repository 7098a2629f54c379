//! The signals of a terminal's keys, for a process that was put into a container.
//!
//! The host's kernel sends them to the foreground process group of the terminal's session, and the process is in none: it runs
//! on another kernel. So a process of the host, this program once more, leads a session on the terminal, and tells the shim
//! what it gets; the shim passes it on. For a container's first process, its kernel or its deputy does so.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Stdio;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::stdio::{stdin, stdout};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use crate::error::ShimError;

/// What keys, a change of size, and a hang-up send.
const SIGNALS: [Signal; 5] =
    [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTSTP, Signal::SIGWINCH, Signal::SIGHUP];

/// What is written, in place of a signal, once the session is led.
const READY: u8 = 0;

/// Leads a session on the terminal that is standard input, and writes the number of each signal to standard output, a byte
/// each, until nobody reads them.
pub(crate) fn run() -> Result<(), ShimError> {
    let mut mask = SigSet::empty();
    for signal in SIGNALS {
        mask.add(signal);
    }
    mask.thread_block().map_err(|errno| ShimError::host("block signals")(errno.into()))?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC)
        .map_err(|errno| ShimError::host("watch for signals")(errno.into()))?;
    setsid().map_err(|errno| ShimError::host("begin a session")(errno.into()))?;
    ioctl_tiocsctty(stdin()).map_err(|errno| ShimError::host("take a terminal over")(errno.into()))?;
    let tell = |byte: u8| io::stdout().write_all(&[byte]).and_then(|()| io::stdout().flush());
    tell(READY).map_err(ShimError::host("write to standard output"))?;
    loop {
        let output = stdout();
        let mut ready =
            [PollFd::new(&signals, PollFlags::IN), PollFd::from_borrowed_fd(output, PollFlags::ERR)];
        retry_on_intr(|| poll(&mut ready, None)).map_err(|errno| ShimError::host("wait")(errno.into()))?;
        if !ready[1].revents().is_empty() {
            return Ok(());
        }
        let Ok(Some(signal)) = signals.read_signal() else { return Ok(()) };
        let byte = u8::try_from(signal.ssi_signo).unwrap_or_default();
        if tell(byte).is_err() {
            return Ok(());
        }
    }
}

/// The process that leads the session. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Keys(Child);

impl Keys {
    /// Starts it on a terminal, and waits until no key is lost.
    pub(crate) async fn start(terminal: BorrowedFd<'_>) -> Result<Self, ShimError> {
        let fail = "stand for a process on its terminal";
        let terminal: OwnedFd = terminal.as_fd().try_clone_to_owned().map_err(ShimError::host(fail))?;
        let program = std::env::current_exe().map_err(ShimError::host(fail))?;
        let mut command = Command::new(program);
        command.arg("-terminal").stdin(Stdio::from(terminal)).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut keys = Self(command.kill_on_drop(true).spawn().map_err(ShimError::host(fail))?);
        match keys.next().await {
            Some(signal) if signal == i32::from(READY) => Ok(keys),
            _ => Err(ShimError::host(fail)(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Waits for the next signal; `None` when there will be none.
    pub(crate) async fn next(&mut self) -> Option<i32> {
        self.0.stdout.as_mut()?.read_u8().await.ok().map(i32::from)
    }
}
