//! The end of a pseudo-terminal that stands for keyboard and screen.

use std::sync::Arc;

use cloister_abi::ioctl;

use super::requests::End;
use super::slave::MAX_TRANSFER;
use super::{Pty, Terminal, job_control, pty_requests};
use crate::context::SyscallCx;
use crate::error::{Errno, Outcome, SyscallResult, fail};
use crate::event::{Events, WaitQueue};
use crate::fs::{FdFlags, FileCx, FileOps, OpenFile, OpenFlags, Path, Sink, Source};
use crate::prelude::errno;
use crate::signal::Signal;
use crate::syscall::{Address, Int};
use crate::task::Resource;

/// An open master. The terminal is hung up when it is dropped.
#[derive(Debug)]
pub(crate) struct Master {
    pty: Arc<Pty>,
    /// The root of the file system that has the slave's name.
    root: Path,
}

impl Master {
    /// Makes the open master of a new terminal.
    pub(crate) fn new(pty: Arc<Pty>, root: Path) -> Self {
        Self { pty, root }
    }

    /// Returns the terminal.
    pub(crate) fn pty(&self) -> &Arc<Pty> {
        &self.pty
    }

    /// Returns where its devpts is.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Opens the slave without its name (`ioctl_tty(2)`, `TIOCGPTPEER`).
    fn open_peer(&self, cx: &SyscallCx<'_>, raw_flags: u64) -> SyscallResult {
        let flags = OpenFlags::from_bits_truncate(u32::try_from(raw_flags).unwrap_or(u32::MAX));
        let settable = OpenFlags::READ_WRITE
            | OpenFlags::WRITE_ONLY
            | OpenFlags::NON_BLOCKING
            | OpenFlags::CLOSE_ON_EXEC
            | OpenFlags::NO_CONTROLLING_TERMINAL;
        let name = self.pty.index().to_string();
        let dentry = self.root.dentry.lookup(name.as_bytes(), &self.root.mount.cache)?;
        let slave = self.pty.open_slave()?;
        let file = OpenFile::new(self.root.with_dentry(dentry), Box::new(slave), flags & settable);
        let terminal: Arc<dyn Terminal> = Arc::clone(&self.pty) as Arc<_>;
        job_control::acquire_by_open(cx.task, &terminal, flags);
        let fd_flags = FdFlags::close_on_exec(flags.contains(OpenFlags::CLOSE_ON_EXEC));
        Ok(cx.files().add(Arc::new(file), fd_flags, cx.rlimit(Resource::OpenFiles))?.into())
    }

    /// Sends a signal to the foreground process group of the slave (`TIOCSIG`).
    fn send_signal(&self, cx: &SyscallCx<'_>, raw_signal: u64) -> SyscallResult {
        let signal = i32::try_from(raw_signal).ok().and_then(|number| Signal::new(number).ok());
        let allowed = [Signal::INT, Signal::QUIT, Signal::TSTP];
        let signal = signal.filter(|signal| allowed.contains(signal));
        let signal = signal.ok_or(fail(errno::EINVAL, "not a signal that a terminal sends"))?;
        let terminal: Arc<dyn Terminal> = Arc::clone(&self.pty) as Arc<_>;
        job_control::send_to_foreground(cx.kernel(), &terminal, &[signal]);
        Ok(Outcome::OK)
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.pty.close_master();
    }
}

impl FileOps for Master {
    fn is_stream(&self) -> bool {
        true
    }

    fn writes_all(&self) -> bool {
        true
    }

    fn read(&self, _cx: &FileCx<'_>, into: &mut dyn Sink) -> Result<usize, Errno> {
        let bytes = self.pty.read_master(into.remaining().min(MAX_TRANSFER))?;
        into.write(&bytes)
    }

    fn write(&self, cx: &FileCx<'_>, from: &mut dyn Source) -> Result<usize, Errno> {
        let mut bytes = vec![0; from.remaining().min(MAX_TRANSFER)];
        let len = from.read(&mut bytes)?;
        self.pty.write_master(cx.task.kernel(), bytes.get(..len).unwrap_or_default())
    }

    fn poll(&self, _file: &OpenFile) -> Events {
        self.pty.state().master_events()
    }

    fn poll_queue(&self) -> Option<&WaitQueue> {
        Some(self.pty.master_queue())
    }

    fn ioctl(&self, cx: &mut SyscallCx<'_>, file: &OpenFile, request: u32, arg: Address) -> SyscallResult {
        match request {
            ioctl::FIONREAD => {
                let bytes = self.pty.state().line.output_len();
                cx.memory().write(arg, &i32::try_from(bytes).unwrap_or(i32::MAX))?;
            }
            ioctl::TIOCGPTN => cx.memory().write(arg, &self.pty.index())?,
            ioctl::TIOCSPTLCK => {
                let is_locked = cx.memory().read::<Int>(arg)? != 0;
                self.pty.state().is_locked = is_locked;
            }
            ioctl::TIOCGPTLCK => {
                let is_locked = self.pty.state().is_locked;
                cx.memory().write(arg, &Int::from(is_locked))?;
            }
            ioctl::TIOCPKT => {
                let is_on = cx.memory().read::<Int>(arg)? != 0;
                let mut state = self.pty.state();
                state.packet = is_on.then(|| state.packet.unwrap_or(0));
            }
            ioctl::TIOCGPKT => {
                let is_on = self.pty.state().packet.is_some();
                cx.memory().write(arg, &Int::from(is_on))?;
            }
            ioctl::TIOCGPTPEER => return self.open_peer(cx, arg.0),
            ioctl::TIOCSIG => return self.send_signal(cx, arg.0),
            _ => return pty_requests::ioctl(cx, file, (&self.pty, End::Master), request, arg),
        }
        Ok(Outcome::OK)
    }

    fn sync(&self, _data_only: bool) -> Result<(), Errno> {
        Err(errno::EINVAL)
    }
}
