//! The standard files of processes.
//!
//! containerd names what they are connected to: FIFOs that its clients have open, log files (`file://`), or programs that
//! log (`binary://`). A process gets pipes, or a terminal, and the shim copies. So a client that is gone for a while blocks
//! nobody but the process, one that closes its end is seen by the process, and what a background process still has open
//! when the main one has ended does not hold up anybody.
//!
//! Source of behaviour: containerd's `core/runtime/v2/README.md`, "IO" and "Logging", and its shim for `runc`.

mod copy;
mod fifo;
pub(crate) mod keys;
mod log;
mod target;

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cloister_runtime::container::Console;
use oci_spec::runtime::Process;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::error::ShimError;
use crate::watch::Watched;
use target::{Sink, Target};

/// How long what a process has written may take to reach its reader when the process is deleted.
const DRAIN: Duration = Duration::from_secs(2);

/// What containerd says of a process' standard files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stdio {
    pub(crate) stdin: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) terminal: bool,
}

/// Whose output it is, for programs that log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) id: &'a str,
}

/// The process' ends of its standard files. They are closed here once the process has them.
#[derive(Debug)]
pub(crate) enum Files {
    /// Input, output and errors.
    Each([OwnedFd; 3]),
    /// A terminal is all three.
    Terminal(OwnedFd),
}

impl Files {
    /// All three.
    pub(crate) fn all(&self) -> [BorrowedFd<'_>; 3] {
        match self {
            Self::Each(files) => files.each_ref().map(AsFd::as_fd),
            Self::Terminal(terminal) => [terminal.as_fd(); 3],
        }
    }

    /// The terminal, if it is one.
    pub(crate) fn terminal(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Each(_) => None,
            Self::Terminal(terminal) => Some(terminal.as_fd()),
        }
    }
}

/// The shim's side of a process' standard files. Dropping it closes all.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    /// Tells who copies the input that no more comes.
    closing: Option<Arc<Notify>>,
    input: JoinSet<()>,
    outputs: JoinSet<()>,
    console: Option<Arc<Watched>>,
}

impl Stdio {
    /// Opens them, and begins to copy.
    ///
    /// # Errors
    ///
    /// A FIFO that nobody has the other end of, a file that cannot be opened, or a program that cannot be started.
    pub(crate) async fn open(
        &self,
        owner: Owner<'_>,
        process: Option<&Process>,
    ) -> Result<(Files, Streams), ShimError> {
        let mut streams = Streams::default();
        let stderr = if self.terminal { "" } else { &*self.stderr };
        let (stdout, stderr) = target::open(&self.stdout, stderr, owner, &mut streams.outputs).await?;
        let stdin = match &*self.stdin {
            "" => None,
            path => Some(fifo::open_reader(Path::new(path))?),
        };
        if self.terminal {
            let console = Console::new(process)?;
            let master = Arc::new(copy::watch(console.master).map_err(ShimError::host("watch a terminal"))?);
            streams.outputs.spawn(copy::output(master.clone(), stdout.into_sink()?));
            if let Some(stdin) = stdin {
                let closing = Arc::new(Notify::new());
                streams.input.spawn(copy::input(stdin, master.clone(), closing.clone()));
                streams.closing = Some(closing);
            }
            streams.console = Some(master);
            return Ok((Files::Terminal(console.terminal), streams));
        }
        let input = match stdin {
            Some(stdin) => {
                let (read, write) = pipe()?;
                let write = copy::watch(write).map_err(ShimError::host("watch a pipe"))?;
                let closing = Arc::new(Notify::new());
                streams.input.spawn(copy::input(stdin, Arc::new(write), closing.clone()));
                streams.closing = Some(closing);
                read
            }
            None => null()?,
        };
        let (output, errors) = (streams.output(stdout)?, streams.output(stderr)?);
        Ok((Files::Each([input, output, errors]), streams))
    }
}

impl Streams {
    /// The process' end of an output.
    fn output(&mut self, target: Target) -> Result<OwnedFd, ShimError> {
        match target {
            Target::Nothing => null(),
            Target::Pipe(write) => Ok(write),
            Target::Sink(sink) => {
                let (read, write) = pipe()?;
                let read = copy::watch(read).map_err(ShimError::host("watch a pipe"))?;
                self.outputs.spawn(copy::output(Arc::new(read), sink));
                Ok(write)
            }
        }
    }

    /// Closes the input, once what was written to it has been copied.
    pub(crate) fn close_input(&self) {
        // The input of a terminal has no end: its line discipline has a key for that.
        if let (Some(closing), None) = (&self.closing, &self.console) {
            closing.notify_one();
        }
    }

    /// Changes the size of the terminal.
    pub(crate) fn resize(&self, width: u32, height: u32) -> Result<(), ShimError> {
        let Some(console) = &self.console else {
            return Err(ShimError::Request("the process has no terminal".into()));
        };
        let cells = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
        let size = Winsize { ws_row: cells(height), ws_col: cells(width), ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(console.get_ref(), size)
            .map_err(|errno| ShimError::host("resize a terminal")(errno.into()))
    }

    /// Waits until all that the process has written has reached its readers, or for a while: others may hold its files open,
    /// and readers may be gone. Then closes all.
    pub(crate) async fn finish(mut self) {
        self.input.abort_all();
        let drained = async { while self.outputs.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::debug!("output is left that nobody reads, or that is not at its end");
        }
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), ShimError> {
    pipe_with(PipeFlags::CLOEXEC).map_err(|errno| ShimError::host("make a pipe")(errno.into()))
}

fn null() -> Result<OwnedFd, ShimError> {
    let file = File::options().read(true).write(true).open("/dev/null");
    Ok(file.map_err(ShimError::path("open", "/dev/null"))?.into())
}

impl Sink {
    /// A sink for what is written to a pipe.
    fn of_pipe(write: OwnedFd) -> Result<Self, ShimError> {
        Ok(Self::Stream(copy::watch(write).map_err(ShimError::host("watch a pipe"))?))
    }
}
