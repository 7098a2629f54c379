//! What differs between kinds of open files.

use std::any::Any;
use std::fmt::Debug;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::{FileKind, OpenFile, Sink, Source};
use crate::context::SyscallCx;
use crate::error::{Errno, SyscallResult, fail};
use crate::event::{Events, WaitQueue};
use crate::prelude::errno;
use crate::syscall::Address;
use crate::task::Task;

/// What an operation on an open file works with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileCx<'a> {
    /// Who does it.
    pub(crate) task: &'a Arc<Task>,
    /// On what.
    pub(crate) file: &'a OpenFile,
}

/// Where a new position is counted from (`lseek(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whence {
    /// The next data at or behind the position.
    Data,
    /// The next hole at or behind the position.
    Hole,
}

/// What a mapping of a file shows.
#[derive(Clone, Debug)]
pub(crate) enum MapSource {
    /// A host file, from the same offset.
    Host(Arc<OwnedFd>),
    /// Zeros, as `/dev/zero`.
    Anonymous,
}

/// Who takes directory entries.
pub(crate) trait DirectorySink {
    /// Takes an entry: its inode number, the position of the entry behind it, its kind and its name. Returns `false` if
    /// it has no room for it, and takes no more.
    fn entry(&mut self, inode: u64, next: u64, kind: FileKind, name: &[u8]) -> bool;
}

/// What differs between kinds of open files. The defaults refuse with the error number that Linux gives.
///
/// An operation that would have to wait fails with `EAGAIN`; the caller waits for [`FileOps::poll_queue`] and tries
/// again, unless the file is non-blocking. (`O_NONBLOCK` is the caller's matter, except where Linux gives another
/// answer than `EAGAIN`.)
pub(crate) trait FileOps: Any + Send + Sync + Debug {
    /// Returns whether it has no positions: pipes, sockets, terminals. Then [`FileOps::read`] and [`FileOps::write`]
    /// are used instead of those with an offset.
    fn is_stream(&self) -> bool {
        false
    }

    /// Returns whether a write that may wait goes on until all is written: pipes, stream sockets, terminals. Otherwise
    /// it ends with what one [`FileOps::write`] wrote.
    fn writes_all(&self) -> bool {
        false
    }

    /// Returns how long a call waits at most for one of `events` ([`Events::READABLE`], [`Events::WRITABLE`]), before
    /// it fails with `EAGAIN`: the time-outs of sockets (`SO_RCVTIMEO`, `SO_SNDTIMEO`). A wait with a limit is not
    /// restarted after a signal: it fails with `EINTR`.
    fn wait_limit(&self, _events: Events) -> Option<Duration> {
        None
    }

    /// Returns what a read gives that has waited for as long as [`FileOps::wait_limit`] says: `EAGAIN`, except for
    /// terminals, where that is an end of the input (`termios(3)`, `VTIME`).
    fn read_in_vain(&self) -> Result<usize, Errno> {
        Err(errno::EAGAIN)
    }

    /// Reads at `offset`. Returns 0 at the end.
    fn read_at(&self, _cx: &FileCx<'_>, _offset: u64, _into: &mut dyn Sink) -> Result<usize, Errno> {
        Err(errno::EINVAL)
    }

    /// Writes at `offset`.
    fn write_at(&self, _cx: &FileCx<'_>, _offset: u64, _from: &mut dyn Source) -> Result<usize, Errno> {
        Err(errno::EINVAL)
    }

    /// Writes at the end (`O_APPEND`). Returns the position behind what was written, and how much that was.
    fn append(&self, _cx: &FileCx<'_>, _from: &mut dyn Source) -> Result<(u64, usize), Errno> {
        Err(errno::EINVAL)
    }

    /// Reads from a stream.
    fn read(&self, _cx: &FileCx<'_>, _into: &mut dyn Sink) -> Result<usize, Errno> {
        Err(errno::EINVAL)
    }

    /// Writes to a stream. It may take more out of `from` than it returns as written.
    fn write(&self, _cx: &FileCx<'_>, _from: &mut dyn Source) -> Result<usize, Errno> {
        Err(errno::EINVAL)
    }

    /// Returns the conditions it is in.
    fn poll(&self, _file: &OpenFile) -> Events {
        Events::READABLE | Events::WRITABLE
    }

    /// Returns the queue that is woken when a condition changes; `None` for files that are always ready.
    fn poll_queue(&self) -> Option<&WaitQueue> {
        None
    }

    /// Returns the position, for files that share it with processes of the host; then it takes the place of the open
    /// file's own.
    fn outer_position(&self) -> Option<u64> {
        None
    }

    /// Moves the position that [`FileOps::outer_position`] returns.
    fn set_outer_position(&self, _position: u64) {}

    /// Finds data or a hole (`SEEK_DATA`, `SEEK_HOLE`), in a file of `size` bytes. By default all is data.
    fn seek(&self, offset: u64, whence: Whence, size: u64) -> Result<u64, Errno> {
        match whence {
            _ if offset >= size => Err(errno::ENXIO),
            Whence::Data => Ok(offset),
            Whence::Hole => Ok(size),
        }
    }

    /// Returns the size, for files that are not of an inode's size (devices); `None`: the inode's.
    fn size(&self) -> Option<u64> {
        None
    }

    /// Gives `sink` the entries of a directory from the position `position` on, and moves it.
    fn read_directory(
        &self,
        _cx: &FileCx<'_>,
        _position: &mut u64,
        _sink: &mut dyn DirectorySink,
    ) -> Result<(), Errno> {
        Err(errno::ENOTDIR)
    }

    /// Carries out an `ioctl(2)` that is not one for all files.
    fn ioctl(
        &self,
        _cx: &mut SyscallCx<'_>,
        _file: &OpenFile,
        _request: u32,
        _arg: Address,
    ) -> SyscallResult {
        Err(fail(errno::ENOTTY, "not a request of this file"))
    }

    /// Returns what a mapping of the file shows.
    fn map(&self, _cx: &FileCx<'_>) -> Result<MapSource, Errno> {
        Err(errno::ENODEV)
    }

    /// Writes to stable storage (`fsync(2)`, `fdatasync(2)`).
    fn sync(&self, _data_only: bool) -> Result<(), Errno> {
        Err(errno::EINVAL)
    }

    /// Allocates or frees space (`fallocate(2)`), `mode` as in the call.
    fn allocate(&self, _cx: &FileCx<'_>, _mode: u32, _offset: u64, _len: u64) -> Result<(), Errno> {
        Err(errno::EOPNOTSUPP)
    }

    /// Called when the status flags are about to change (`fcntl(2)`, `F_SETFL`).
    fn check_status_flags(&self, _flags: u32) -> Result<(), Errno> {
        Ok(())
    }

    /// Called when a descriptor of it is closed (not only the last).
    fn flush(&self, _cx: &FileCx<'_>) {}

    /// Returns lines to add to `/proc/PID/fdinfo/FD`.
    fn fd_info(&self) -> String {
        String::new()
    }
}
