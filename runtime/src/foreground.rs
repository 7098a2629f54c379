//! Waiting for a container in the foreground: signals are passed on, and the terminal is left as it was found.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use cloister_footprint::Footprint;
use cloister_proto::control::{
    Client, ClientError, Event, ExitStatus, Method, OnHangUp, Processes, Signal as Request, SignalTarget,
    Ticket, Wait, WaitPid,
};
use nix::sys::signal::{SigSet, Signal as Name};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::state::ContainerId;

/// Signals that are about this process itself, not about the container.
const OWN: [Name; 11] = [
    Name::SIGCHLD,
    Name::SIGPIPE,
    Name::SIGURG,
    Name::SIGSEGV,
    Name::SIGBUS,
    Name::SIGFPE,
    Name::SIGILL,
    Name::SIGTRAP,
    Name::SIGABRT,
    Name::SIGSYS,
    Name::SIGTTIN,
];

/// Signals cannot be watched for.
#[derive(Debug, thiserror::Error)]
#[error("cannot watch for signals: {0}")]
pub struct ForegroundError(#[from] nix::Error);

/// The state in which a container is waited for: signals arrive at a descriptor. Begun before the sandbox is started, so
/// that none is lost.
#[derive(Debug)]
pub struct Foreground {
    signals: SignalFd,
    terminal: Option<Termios>,
}

impl Foreground {
    /// Begins: blocks the signals that are passed on, and looks at the terminal.
    ///
    /// # Errors
    ///
    /// The system's: no free descriptors.
    pub fn begin() -> Result<Self, ForegroundError> {
        let mut mask = SigSet::all();
        for signal in OWN {
            mask.remove(signal);
        }
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let stdin = io::stdin();
        let terminal = if stdin.is_terminal() { tcgetattr(stdin).ok() } else { None };
        Ok(Self { signals, terminal })
    }

    /// Asks for the container's end; `on_hang_up` is what becomes of it if we are killed. To be done before the container is started: the kernel ends with it, and tells only
    /// those who have asked by then.
    ///
    /// # Errors
    ///
    /// The kernel has ended.
    pub fn watch(client: &mut Client, id: &ContainerId, on_hang_up: OnHangUp) -> Result<Ticket, ClientError> {
        client.start(Wait { id: id.to_string(), on_hang_up }, &[])
    }

    /// Waits for the container's end and passes signals on until then. `processes` are pidfds of the sandbox's processes
    /// that are ours.
    ///
    /// # Errors
    ///
    /// The kernel, or another of the processes, ends before the container does.
    pub fn wait(
        &self,
        client: &mut Client,
        processes: &[BorrowedFd<'_>],
        id: &ContainerId,
        ticket: Ticket,
    ) -> Result<ExitStatus, ClientError> {
        self.wait_for::<Wait>(client, processes, Target { id, pid: 0 }, ticket)
    }

    /// Waits for the end of the process `pid`, which was put into the container, and passes signals on until then.
    ///
    /// # Errors
    ///
    /// The kernel ends before the process does.
    pub fn wait_pid(
        &self,
        client: &mut Client,
        id: &ContainerId,
        pid: i32,
    ) -> Result<ExitStatus, ClientError> {
        let ticket = client.start(WaitPid { id: id.to_string(), pid }, &[])?;
        self.wait_for::<WaitPid>(client, &[], Target { id, pid }, ticket)
    }

    fn wait_for<M: Method<Reply = ExitStatus>>(
        &self,
        client: &mut Client,
        processes: &[BorrowedFd<'_>],
        target: Target<'_>,
        ticket: Ticket,
    ) -> Result<ExitStatus, ClientError> {
        let footprint = Footprint::default();
        loop {
            if let Event::Reply(status) = client.poll::<M>(ticket)? {
                return Ok(status);
            }
            let mut ready = vec![
                PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(client.as_fd(), PollFlags::IN),
            ];
            ready.extend(processes.iter().map(|process| PollFd::from_borrowed_fd(*process, PollFlags::IN)));
            let patience = footprint.patience().and_then(|patience| Timespec::try_from(patience).ok());
            let count =
                retry_on_intr(|| poll(&mut ready, patience.as_ref())).map_err(|_| ClientError::Closed)?;
            if count == 0 {
                footprint.reduce();
                continue;
            }
            let mut ready = ready.iter().map(|entry| !entry.revents().is_empty());
            let (signal, message) = (ready.next().unwrap_or_default(), ready.next().unwrap_or_default());
            if !signal && !message {
                // A process has ended. If the answer did not come just now, none will.
                return match client.poll::<M>(ticket)? {
                    Event::Reply(status) => Ok(status),
                    Event::Nothing => Err(ClientError::Closed),
                };
            }
            while let Ok(Some(signal)) = self.signals.read_signal() {
                pass_on(client, target, signal.ssi_signo, signal.ssi_code);
            }
        }
    }
}

/// Whom signals are passed on to.
#[derive(Clone, Copy, Debug)]
struct Target<'a> {
    id: &'a ContainerId,
    /// A process that was put into the container; 0 is the first one.
    pid: i32,
}

impl Target<'_> {
    fn process(self) -> SignalTarget {
        if self.pid == 0 { SignalTarget::Init } else { SignalTarget::Process(self.pid) }
    }

    fn foreground(self) -> SignalTarget {
        SignalTarget::ForegroundGroup(self.pid)
    }
}

/// Passes a signal on: what the terminal sent goes to its foreground group, what a process sent to the process.
fn pass_on(client: &mut Client, target: Target<'_>, number: u32, code: i32) {
    let Some(signal) = i32::try_from(number).ok().and_then(|number| Name::try_from(number).ok()) else {
        // A real-time signal: those have no names.
        let signal = i32::try_from(number).unwrap_or_default();
        return send(client, target.id, signal, target.process());
    };
    let from_kernel = code > 0;
    match signal {
        // Blocked only so that restoring the terminal from the background does not stop us.
        Name::SIGTTOU => {}
        // A shell sends it to wake its job, all of which was stopped.
        Name::SIGCONT => send(client, target.id, signal as i32, target.foreground()),
        Name::SIGTSTP if from_kernel => {
            send(client, target.id, signal as i32, target.foreground());
            if is_stopped(client, target) {
                // Our own shell is to see a stopped job, as without a sandbox. A job of a shell in the sandbox is not ours.
                let _ = kill_process(getpid(), Signal::STOP);
            }
        }
        // As of a terminal that is hung up: its session's leader has it too.
        Name::SIGHUP if from_kernel => {
            send(client, target.id, signal as i32, target.process());
            send(client, target.id, signal as i32, target.foreground());
        }
        _ if from_kernel => send(client, target.id, signal as i32, target.foreground()),
        _ => send(client, target.id, signal as i32, target.process()),
    }
}

fn send(client: &mut Client, id: &ContainerId, signal: i32, target: SignalTarget) {
    // The process may have ended; its end is told by the wait.
    let _ = client.call(Request { id: id.to_string(), signal, target }, &[]);
}

/// Whether the process is stopped, or is so in a moment: it takes one for a signal to have its effect.
fn is_stopped(client: &mut Client, target: Target<'_>) -> bool {
    for _ in 0..5 {
        let Ok(reply) = client.call(Processes { id: target.id.to_string() }, &[]) else { return false };
        let found = reply.processes.iter().find(|process| match target.pid {
            0 => process.ppid == 0,
            pid => process.pid == pid,
        });
        if found.is_some_and(|process| process.state == b'T') {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

impl Drop for Foreground {
    fn drop(&mut self) {
        if let Some(terminal) = &self.terminal {
            // The terminal may be gone by now.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, terminal);
        }
    }
}
