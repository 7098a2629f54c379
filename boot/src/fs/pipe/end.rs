//! An open end of a pipe.

use std::sync::Arc;

use cloister_abi::ioctl;
use serde::{Deserialize, Serialize};

use super::{Pipe, PipeEndImage};
use crate::context::SyscallCx;
use crate::error::{Errno, SyscallResult, fail};
use crate::event::{Events, WaitQueue};
use crate::fs::{FileCx, FileOps, OpenFile, OpenFlags, Sink, Source};
use crate::prelude::errno;
use crate::syscall::Address;

/// What an end of a pipe can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Access {
    /// Read.
    Read,
    /// Write.
    Write,
    /// Both: a FIFO opened with `O_RDWR`.
    Both,
}

impl Access {
    /// Returns what a file that is open with `flags` can do.
    pub(crate) fn of(flags: OpenFlags) -> Self {
        match (flags.is_readable(), flags.is_writable()) {
            (true, true) => Self::Both,
            (false, true) => Self::Write,
            _ => Self::Read,
        }
    }

    pub(super) fn reads(self) -> bool {
        self != Self::Write
    }

    pub(super) fn writes(self) -> bool {
        self != Self::Read
    }
}

/// An open end of a pipe. The pipe learns when it is dropped.
#[derive(Debug)]
pub(crate) struct PipeEnd {
    pipe: Arc<Pipe>,
    access: Access,
    writers_before: u64,
}

impl PipeEnd {
    /// Opens an end of a pipe that has no name.
    pub(crate) fn new(pipe: Arc<Pipe>, access: Access) -> Self {
        pipe.add_end(access);
        Self { pipe, access, writers_before: 0 }
    }

    /// Opens an end of `pipe`, which was saved with it.
    pub(crate) fn from_image(pipe: Arc<Pipe>, image: PipeEndImage) -> Self {
        pipe.restore_end(image.access);
        Self { pipe, access: image.access, writers_before: image.writers_before }
    }

    /// Returns its saved form, without the pipe.
    pub(crate) fn to_image(&self) -> PipeEndImage {
        PipeEndImage { access: self.access, writers_before: self.writers_before }
    }

    /// Opens an end of a FIFO, which is hung up only once somebody has written to it since.
    pub(super) fn of_fifo(pipe: Arc<Pipe>, access: Access) -> Self {
        let ever = pipe.add_end(access);
        let (_, writers) = pipe.ends();
        // With a writer there, its leaving is a hang-up; without one, only a later writer's.
        let writers_before = if writers == 0 { ever.writers } else { 0 };
        Self { pipe, access, writers_before }
    }

    /// Returns the pipe.
    pub(crate) fn pipe(&self) -> &Arc<Pipe> {
        &self.pipe
    }

    /// Returns how many writers there had ever been when it was opened: without a later one it is not hung up.
    pub(super) fn writers_before(&self) -> u64 {
        self.writers_before
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        self.pipe.remove_end(self.access);
    }
}

impl FileOps for PipeEnd {
    fn is_stream(&self) -> bool {
        true
    }

    fn writes_all(&self) -> bool {
        true
    }

    fn read(&self, _cx: &FileCx<'_>, into: &mut dyn Sink) -> Result<usize, Errno> {
        self.pipe.read(into)
    }

    fn write(&self, cx: &FileCx<'_>, from: &mut dyn Source) -> Result<usize, Errno> {
        if cx.file.flags().contains(OpenFlags::DIRECT) {
            self.pipe.write_packets(from)
        } else {
            self.pipe.write(from)
        }
    }

    fn poll(&self, _file: &OpenFile) -> Events {
        self.pipe.poll(self.access, self.writers_before())
    }

    fn poll_queue(&self) -> Option<&WaitQueue> {
        Some(self.pipe.queue())
    }

    fn ioctl(&self, cx: &mut SyscallCx<'_>, _file: &OpenFile, request: u32, arg: Address) -> SyscallResult {
        match request {
            ioctl::FIONREAD => {
                let bytes = i32::try_from(self.pipe.readable_bytes()).unwrap_or(i32::MAX);
                cx.memory().write(arg, &bytes)?;
                Ok(().into())
            }
            _ => Err(fail(errno::ENOTTY, "not a request of pipes")),
        }
    }
}
