//! Commands in sandboxes.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use cloister_proto::control::{
    Client, Event, Execute, ExitStatus, OnHangUp, Signal, SignalTarget, Ticket, WaitPid,
};
use oci_spec::runtime::Process;
use rustix::event::{PollFd, PollFlags};
use rustix::pipe::{PipeFlags, pipe_with};

use super::ManagerError;
use super::operations::fail;
use crate::bundle::{convert_process, override_variables};
use crate::container::connect;
use crate::state::{ContainerId, Entry, Use};
use crate::streams::{End, Read, read_both, wait_for};

/// A command to be run in a sandbox.
#[derive(Clone, Debug)]
pub struct Command {
    /// The program and its arguments.
    pub args: Vec<String>,
    /// Variables besides those of the sandbox's configuration, each `NAME=value`.
    pub env: Vec<String>,
    /// Its working directory; that of the configuration if there is none.
    pub cwd: Option<String>,
    /// What [`exec`](super::Manager::exec) gives it to read.
    pub input: Vec<u8>,
    /// How long [`exec`](super::Manager::exec) lets it run.
    pub timeout: Option<Duration>,
    /// How many bytes [`exec`](super::Manager::exec) lets it write to each of its two streams.
    pub output_limit: usize,
}

impl Command {
    /// A command without input, time-out and variables of its own, which may write 64 MiB.
    pub fn new<A: Into<String>>(args: impl IntoIterator<Item = A>) -> Self {
        Self {
            args: args.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cwd: None,
            input: Vec::new(),
            timeout: None,
            output_limit: 64 << 20,
        }
    }
}

/// What came out of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

/// A command that was started. It is killed when this is dropped, but not what it has started in turn; the sandbox is in use until
/// then.
#[derive(Debug)]
pub struct Running {
    /// Its standard input.
    pub stdin: Option<File>,
    /// Its standard output.
    pub stdout: Option<File>,
    /// Its standard error.
    pub stderr: Option<File>,
    id: ContainerId,
    pid: i32,
    client: Client,
    /// By which its end was asked for.
    ticket: Option<Ticket>,
    ended: Option<ExitStatus>,
    _in_use: Option<Use>,
}

const ACTION: &str = "execute in";

impl Running {
    pub(super) fn start(entry: &Entry, command: &Command) -> Result<Self, ManagerError> {
        let id = entry.id().clone();
        let in_use = entry.lifetime()?.map(|_| entry.begin_use()).transpose()?;
        let config = entry.config()?;
        let process = config.process().as_ref().ok_or_else(|| ManagerError::NoProcess(id.clone()))?;
        let process = convert_process(&personal(process.clone(), command), "process")?;
        let ((for_stdin, stdin), (stdout, for_stdout), (stderr, for_stderr)) = (pipe()?, pipe()?, pipe()?);
        let mut client = connect(entry, ACTION)?;
        let request = Execute {
            id: id.to_string(),
            process: Box::new(process),
            ignore_paused: false,
            on_hang_up: OnHangUp::Kill,
        };
        let files = [for_stdin.as_fd(), for_stdout.as_fd(), for_stderr.as_fd()];
        let pid = client.call(request, &files).map_err(fail(ACTION, &id))?.pid;
        let [stdin, stdout, stderr] = [stdin, stdout, stderr].map(|end| Some(File::from(end)));
        Ok(Self { stdin, stdout, stderr, id, pid, client, ticket: None, ended: None, _in_use: in_use })
    }

    /// Its process id in the sandbox.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends it a signal.
    ///
    /// # Errors
    ///
    /// It has ended, or the sandbox does not answer.
    pub fn signal(&mut self, signal: i32) -> Result<(), ManagerError> {
        let request = Signal { id: self.id.to_string(), signal, target: SignalTarget::Process(self.pid) };
        self.client.call(request, &[]).map_err(fail("signal a process of", &self.id))?;
        Ok(())
    }

    /// Waits for its end; `None` if it does not come by then. Its standard input is closed.
    ///
    /// # Errors
    ///
    /// The sandbox ends before.
    pub fn wait(&mut self, deadline: Option<Instant>) -> Result<Option<ExitStatus>, ManagerError> {
        const ACTION: &str = "wait for a process of";
        drop(self.stdin.take());
        if self.ended.is_some() {
            return Ok(self.ended);
        }
        let ticket = match self.ticket {
            Some(ticket) => ticket,
            None => {
                let request = WaitPid { id: self.id.to_string(), pid: self.pid };
                self.client.start(request, &[]).map_err(fail(ACTION, &self.id))?
            }
        };
        self.ticket = Some(ticket);
        loop {
            if let Event::Reply(status) =
                self.client.poll::<WaitPid>(ticket).map_err(fail(ACTION, &self.id))?
            {
                self.ended = Some(status);
                return Ok(self.ended);
            }
            let mut ready = [PollFd::new(&self.client, PollFlags::IN)];
            if !wait_for(&mut ready, deadline).map_err(ManagerError::host("wait for a sandbox"))? {
                return Ok(None);
            }
        }
    }

    pub(super) fn output(mut self, command: &Command) -> Result<Output, ManagerError> {
        let deadline = command.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        if let Some(mut stdin) = self.stdin.take()
            && !command.input.is_empty()
        {
            let input = command.input.clone();
            // A command that does not read its input is no error; the pipe is closed when it ends.
            thread::spawn(move || stdin.write_all(&input));
        }
        let (out, err) = (self.stdout.take(), self.stderr.take());
        let read = read_both(out, err, deadline, command.output_limit);
        let Read { end, stdout, stderr } = read.map_err(ManagerError::host("read what a command writes"))?;
        let timed_out = || ManagerError::TimedOut(command.timeout.unwrap_or_default());
        match end {
            End::Reached => {
                let status = self.wait(deadline)?.ok_or_else(timed_out)?;
                Ok(Output { status, stdout, stderr })
            }
            End::TimedOut => Err(timed_out()),
            End::OverLimit => Err(ManagerError::OutputLimit(command.output_limit)),
        }
    }
}

/// The process of the configuration, as the command has it.
fn personal(mut process: Process, command: &Command) -> Process {
    let mut env = process.env().clone().unwrap_or_default();
    override_variables(&mut env, &command.env);
    process.set_args(Some(command.args.clone())).set_env(Some(env)).set_terminal(Some(false));
    if let Some(cwd) = &command.cwd {
        process.set_cwd(cwd.into());
    }
    process
}

fn pipe() -> Result<(OwnedFd, OwnedFd), ManagerError> {
    pipe_with(PipeFlags::CLOEXEC).map_err(ManagerError::host("make a pipe"))
}
