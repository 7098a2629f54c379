//! A pipe, a socket, a terminal or another device of the host.

use std::sync::Arc;
use std::time::Duration;

use cloister_abi::ioctl;

use super::{HostDescriptor, Terminal};
use crate::context::{Because, SyscallCx};
use crate::error::{Errno, SyscallResult, fail};
use crate::event::{Events, WaitQueue};
use crate::fs::{FileCx, FileOps, OpenFile, Sink, Source};
use crate::prelude::errno;
use crate::syscall::Address;
use crate::tty::{self, job_control};

/// How much is moved at once at most.
const MAX_TRANSFER: usize = 64 << 10;

/// A pipe, a socket, a terminal or another device of the host.
#[derive(Clone, Debug)]
pub(crate) struct HostStream {
    descriptor: Arc<HostDescriptor>,
    terminal: Option<Arc<Terminal>>,
}

impl HostStream {
    /// Makes a guest file of it; `terminal` if it is one.
    pub(crate) fn new(descriptor: Arc<HostDescriptor>, terminal: Option<Arc<Terminal>>) -> Self {
        Self { descriptor, terminal }
    }

    /// Returns the number by which the container was given it.
    pub(crate) fn given_as(&self) -> Option<u32> {
        self.descriptor.given_as()
    }

    /// Returns the terminal that it is.
    pub(crate) fn terminal(&self) -> Option<&Arc<Terminal>> {
        self.terminal.as_ref()
    }
}

impl FileOps for HostStream {
    fn is_stream(&self) -> bool {
        true
    }

    fn writes_all(&self) -> bool {
        true
    }

    fn wait_limit(&self, events: Events) -> Option<Duration> {
        let terminal = self.terminal.as_ref().filter(|_| events.intersects(Events::READABLE))?;
        terminal.read_limit()
    }

    fn read_in_vain(&self) -> Result<usize, Errno> {
        if self.terminal.is_some() { Ok(0) } else { Err(errno::EAGAIN) }
    }

    fn read(&self, cx: &FileCx<'_>, into: &mut dyn Sink) -> Result<usize, Errno> {
        if let Some(terminal) = &self.terminal {
            let terminal: Arc<dyn tty::Terminal> = Arc::clone(terminal) as Arc<_>;
            job_control::check_read(cx.task, &terminal)?;
        }
        let mut bytes = vec![0; into.remaining().min(MAX_TRANSFER)];
        let len = match (self.descriptor.read(&mut bytes), &self.terminal) {
            (Err(errno::EAGAIN), Some(terminal)) if terminal.read_limit() == Some(Duration::ZERO) => 0,
            (result, _) => result?,
        };
        into.write(bytes.get(..len).unwrap_or_default())
    }

    fn write(&self, cx: &FileCx<'_>, from: &mut dyn Source) -> Result<usize, Errno> {
        if let Some(terminal) = &self.terminal {
            let terminal: Arc<dyn tty::Terminal> = Arc::clone(terminal) as Arc<_>;
            job_control::check_write(cx.task, &terminal)?;
        }
        let mut bytes = vec![0; from.remaining().min(MAX_TRANSFER)];
        let len = from.read(&mut bytes)?;
        self.descriptor.write(bytes.get(..len).unwrap_or_default())
    }

    fn poll(&self, _file: &OpenFile) -> Events {
        self.descriptor.poll()
    }

    fn poll_queue(&self) -> Option<&WaitQueue> {
        self.descriptor.queue()
    }

    fn ioctl(&self, cx: &mut SyscallCx<'_>, file: &OpenFile, request: u32, arg: Address) -> SyscallResult {
        if request == ioctl::FIONREAD {
            let bytes = self.descriptor.readable_bytes().because("the host can't tell")?;
            cx.memory().write(arg, &i32::try_from(bytes).unwrap_or(i32::MAX))?;
            return Ok(().into());
        }
        match &self.terminal {
            Some(terminal) => terminal.ioctl(cx, file, request, arg),
            None => Err(fail(errno::ENOTTY, "not a terminal")),
        }
    }
}
