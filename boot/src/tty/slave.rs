//! The end of a pseudo-terminal that programs use.

use std::sync::Arc;
use std::time::Duration;

use cloister_abi::ioctl;

use super::requests::End;
use super::{Pty, Terminal, job_control, pty_requests};
use crate::context::SyscallCx;
use crate::error::{Errno, Outcome, SyscallResult, fail};
use crate::event::{Events, WaitQueue};
use crate::fs::{FileCx, FileOps, OpenFile, Sink, Source};
use crate::prelude::errno;
use crate::syscall::Address;

/// How much one read or write moves at most.
pub(super) const MAX_TRANSFER: usize = 4096;

/// An open slave. The terminal learns when it is dropped.
#[derive(Debug)]
pub(crate) struct Slave {
    pty: Arc<Pty>,
}

impl Slave {
    /// Makes an open slave, which `pty` has counted.
    pub(super) fn new(pty: Arc<Pty>) -> Self {
        Self { pty }
    }

    /// Returns the terminal.
    pub(crate) fn pty(&self) -> &Arc<Pty> {
        &self.pty
    }

    fn terminal(&self) -> Arc<dyn Terminal> {
        Arc::clone(&self.pty) as Arc<_>
    }
}

impl Drop for Slave {
    fn drop(&mut self) {
        self.pty.close_slave();
    }
}

impl FileOps for Slave {
    fn is_stream(&self) -> bool {
        true
    }

    fn writes_all(&self) -> bool {
        true
    }

    fn wait_limit(&self, events: Events) -> Option<Duration> {
        if events.intersects(Events::READABLE) { self.pty.read_limit() } else { None }
    }

    fn read_in_vain(&self) -> Result<usize, Errno> {
        Ok(0)
    }

    fn read(&self, cx: &FileCx<'_>, into: &mut dyn Sink) -> Result<usize, Errno> {
        job_control::check_read(cx.task, &self.terminal())?;
        let max = into.remaining().min(MAX_TRANSFER);
        let bytes = self.pty.read_slave(max, cx.file.is_non_blocking())?;
        into.write(&bytes)
    }

    fn write(&self, cx: &FileCx<'_>, from: &mut dyn Source) -> Result<usize, Errno> {
        job_control::check_write(cx.task, &self.terminal())?;
        let mut bytes = vec![0; from.remaining().min(MAX_TRANSFER)];
        let len = from.read(&mut bytes)?;
        self.pty.write_slave(bytes.get(..len).unwrap_or_default())
    }

    fn poll(&self, _file: &OpenFile) -> Events {
        self.pty.state().slave_events()
    }

    fn poll_queue(&self) -> Option<&WaitQueue> {
        Some(self.pty.slave_queue())
    }

    fn ioctl(&self, cx: &mut SyscallCx<'_>, file: &OpenFile, request: u32, arg: Address) -> SyscallResult {
        if !self.pty.state().is_master_open() {
            let errno = if request == ioctl::TIOCSPGRP { errno::ENOTTY } else { errno::EIO };
            return Err(fail(errno, "the terminal was hung up"));
        }
        if request == ioctl::FIONREAD {
            let bytes = self.pty.state().line.readable_bytes();
            cx.memory().write(arg, &i32::try_from(bytes).unwrap_or(i32::MAX))?;
            return Ok(Outcome::OK);
        }
        pty_requests::ioctl(cx, file, (&self.pty, End::Programs), request, arg)
    }

    fn sync(&self, _data_only: bool) -> Result<(), Errno> {
        Err(errno::EINVAL)
    }
}
