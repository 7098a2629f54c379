//! Reading and writing open files on behalf of a system call: positions, limits, and waiting for streams.

use std::sync::Arc;

use super::{FileCx, FileKind, OpenFile, OpenFlags, Sink, Source, attribute_rules, notify};
use crate::context::SyscallCx;
use crate::error::{Errno, Fail, Restart, fail};
use crate::event::Events;
use crate::mm::{UserSink, UserSource};
use crate::prelude::errno;
use crate::signal::{self, Signal, SignalInfo};
use crate::syscall::SyscallState;
use crate::task::Resource;

/// Where a transfer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// At the file's position, which it moves.
    Position,
    /// At this offset.
    Offset(u64),
}

/// What one call asks for (`preadv2(2)`, `RWF_*`).
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the call's own, and they go together freely"
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TransferFlags {
    /// It does not wait.
    pub(crate) no_wait: bool,
    /// It writes at the end.
    pub(crate) append: bool,
    /// It does not write at the end, though the file says so.
    pub(crate) no_append: bool,
    /// What it writes is on stable storage when it returns.
    pub(crate) sync: bool,
}

/// Reads from a file. Returns how many bytes.
///
/// # Errors
///
/// As `read(2)`.
pub(crate) fn read(
    cx: &mut SyscallCx<'_>,
    file: &Arc<OpenFile>,
    sink: &mut UserSink,
    at: At,
    flags: TransferFlags,
) -> Result<usize, Fail> {
    file.check_readable().map_err(|errno| fail(errno, "not open for reading"))?;
    if file.inode().kind() == FileKind::Directory {
        return Err(fail(errno::EISDIR, "a directory is read with getdents"));
    }
    let read = if file.ops().is_stream() {
        if at != At::Position {
            return Err(fail(errno::ESPIPE, "a stream has no positions"));
        }
        read_stream(cx, file, sink, flags)?
    } else {
        let file_cx = FileCx { task: cx.task, file };
        read_at(&file_cx, sink, at)?
    };
    if read > 0 {
        notify::of_file(&file.path().dentry, notify::Event::ACCESS);
    }
    Ok(read)
}

/// Reads from a file with positions.
///
/// # Errors
///
/// What the file says.
pub(crate) fn read_at(cx: &FileCx<'_>, sink: &mut dyn Sink, at: At) -> Result<usize, Errno> {
    match at {
        At::Offset(offset) => cx.file.ops().read_at(cx, offset, sink),
        At::Position => {
            let mut position = cx.file.position();
            let read = cx.file.ops().read_at(cx, *position, sink)?;
            *position = position.saturating_add(read as u64);
            Ok(read)
        }
    }
}

fn read_stream(
    cx: &mut SyscallCx<'_>,
    file: &Arc<OpenFile>,
    sink: &mut UserSink,
    flags: TransferFlags,
) -> Result<usize, Fail> {
    let mut attempt = |cx: &mut SyscallCx<'_>| {
        let file_cx = FileCx { task: cx.task, file };
        Ok(file.ops().read(&file_cx, sink)?)
    };
    let queue = file.ops().poll_queue().filter(|_| !flags.no_wait && !file.is_non_blocking());
    let Some(queue) = queue else { return attempt(cx) };
    let limit = file.ops().wait_limit(Events::READABLE);
    if limit.is_none() {
        return cx.block_on(queue, Events::READABLE, None, Restart::Sys, attempt);
    }
    let deadline = cx.deadline(limit);
    match cx.block_on(queue, Events::READABLE, deadline, Restart::Sys, attempt) {
        Err(failure) if failure.is(errno::EAGAIN) => Ok(file.ops().read_in_vain()?),
        result => result.map_err(not_restarted),
    }
}

/// Turns the interruption of a wait with a limit into `EINTR` (`signal(7)`, "Interruption of system calls").
fn not_restarted(failure: Fail) -> Fail {
    match failure {
        Fail::Restart(_) => fail(errno::EINTR, "a signal interrupted the wait"),
        other => other,
    }
}

/// Writes to a file. Returns how many bytes.
///
/// # Errors
///
/// As `write(2)`.
pub(crate) fn write(
    cx: &mut SyscallCx<'_>,
    file: &Arc<OpenFile>,
    source: &mut UserSource,
    at: At,
    flags: TransferFlags,
) -> Result<usize, Fail> {
    file.check_writable().map_err(|errno| fail(errno, "not open for writing"))?;
    let written = if file.ops().is_stream() {
        if at != At::Position {
            return Err(fail(errno::ESPIPE, "a stream has no positions"));
        }
        write_stream(cx, file, source, flags)?
    } else {
        write_at(cx, file, source, at, flags)?
    };
    if written > 0 {
        notify::of_file(&file.path().dentry, notify::Event::MODIFY);
    }
    Ok(written)
}

/// Writes to a file with positions.
///
/// # Errors
///
/// As `write(2)`.
pub(crate) fn write_at(
    cx: &mut SyscallCx<'_>,
    file: &Arc<OpenFile>,
    source: &mut dyn Source,
    at: At,
    flags: TransferFlags,
) -> Result<usize, Fail> {
    if source.remaining() > 0
        && let Some(permissions) = attribute_rules::set_ids_lost(&cx.credentials(), &**file.inode())?
    {
        let change = super::AttributeChange { permissions: Some(permissions), ..Default::default() };
        file.inode().set_attributes(&change)?;
    }
    let limit = cx.group().rlimits().get(Resource::FileSize).soft;
    let appends = flags.append || (file.flags().contains(OpenFlags::APPEND) && !flags.no_append);
    let file_cx = FileCx { task: cx.task, file };
    let result = write_within(&file_cx, source, at, appends, limit);
    if matches!(result, Err(errno::EFBIG)) && file.inode().kind() == FileKind::Regular {
        signal::send_to_task(cx.task, SignalInfo::kernel(Signal::XFSZ));
    }
    let written = result?;
    let is_sync = flags.sync || file.flags().intersects(OpenFlags::DATA_SYNC | OpenFlags::SYNC);
    if is_sync && written > 0 && file.inode().kind() == FileKind::Regular {
        file.ops().sync(false)?;
    }
    Ok(written)
}

fn write_within(
    cx: &FileCx<'_>,
    source: &mut dyn Source,
    at: At,
    appends: bool,
    limit: u64,
) -> Result<usize, Errno> {
    let ops = cx.file.ops();
    let is_limited = limit != u64::MAX && cx.file.inode().kind() == FileKind::Regular;
    let mut position = matches!(at, At::Position).then(|| cx.file.position());
    let offset = match (at, &position) {
        (At::Offset(offset), _) => offset,
        (At::Position, Some(position)) => **position,
        (At::Position, None) => 0,
    };
    let start = if appends && is_limited { cx.file.size()? } else { offset };
    let mut limited = Limited { source, room: usize::MAX };
    if is_limited && limited.remaining() > 0 {
        limited.room = usize::try_from(limit.saturating_sub(start)).unwrap_or(usize::MAX);
        if limited.room == 0 {
            return Err(errno::EFBIG);
        }
    }
    let (end, written) = if appends {
        ops.append(cx, &mut limited)?
    } else {
        let written = ops.write_at(cx, offset, &mut limited)?;
        (offset.saturating_add(written as u64), written)
    };
    if let Some(position) = &mut position {
        **position = end;
    }
    Ok(written)
}

/// A source of which only so much is used.
struct Limited<'a> {
    source: &'a mut dyn Source,
    room: usize,
}

impl Source for Limited<'_> {
    fn remaining(&self) -> usize {
        self.source.remaining().min(self.room)
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, Errno> {
        let len = into.len().min(self.room);
        let read = self.source.read(into.get_mut(..len).unwrap_or_default())?;
        self.room -= read;
        Ok(read)
    }
}

/// Writes to a stream. What was written before a wait is kept in the call's state.
fn write_stream(
    cx: &mut SyscallCx<'_>,
    file: &Arc<OpenFile>,
    source: &mut UserSource,
    flags: TransferFlags,
) -> Result<usize, Fail> {
    let (mut moved, known_deadline) = match cx.state() {
        Some(SyscallState::Transfer { moved, deadline }) => (*moved, Some(*deadline)),
        _ => (0, None),
    };
    source.skip(moved);
    let queue = file.ops().poll_queue().filter(|_| !flags.no_wait && !file.is_non_blocking());
    let mut is_registered = false;
    let failure = loop {
        let file_cx = FileCx { task: cx.task, file };
        // A file may take more out of the source than it has room for.
        match file.ops().write(&file_cx, &mut source.clone()) {
            Ok(written) => {
                source.skip(written);
                moved += written;
                if source.remaining() == 0 || written == 0 || !file.ops().writes_all() {
                    return Ok(moved);
                }
                continue;
            }
            Err(errno::EAGAIN) => {}
            Err(errno) => break errno.into(),
        }
        let Some(queue) = queue else { break errno::EAGAIN.into() };
        if !is_registered {
            cx.wake_exclusively_on(queue, Events::WRITABLE);
            is_registered = true;
            continue;
        }
        let limit = file.ops().wait_limit(Events::WRITABLE);
        let now = cx.kernel().clock.monotonic();
        let deadline = known_deadline.unwrap_or_else(|| limit.map(|limit| now.saturating_add(limit)));
        if deadline.is_some_and(|deadline| deadline <= now) {
            break errno::EAGAIN.into();
        }
        cx.set_state(SyscallState::Transfer { moved, deadline });
        match cx.park(deadline, Restart::Sys) {
            wait @ Fail::Park(_) => return Err(wait),
            interrupted if deadline.is_some() => break not_restarted(interrupted),
            interrupted => break interrupted,
        }
    };
    tell_of_broken_pipe(cx, &failure);
    if moved > 0 { Ok(moved) } else { Err(failure) }
}

/// Writes to a stream what there is room for, and never waits (`sendfile(2)`, `splice(2)`).
///
/// # Errors
///
/// `EAGAIN` if there is no room; as `write(2)`.
pub(crate) fn write_stream_now(
    cx: &mut SyscallCx<'_>,
    file: &Arc<OpenFile>,
    source: &mut dyn Source,
) -> Result<usize, Fail> {
    let written = file.ops().write(&FileCx { task: cx.task, file }, source).map_err(Fail::from);
    written.inspect_err(|failure| tell_of_broken_pipe(cx, failure))
}

/// Returns the failure of a write that nobody will read, and sends the signal that goes with it (`pipe(7)`).
pub(crate) fn broken_pipe(cx: &SyscallCx<'_>) -> Fail {
    let failure = fail(errno::EPIPE, "nobody reads");
    tell_of_broken_pipe(cx, &failure);
    failure
}

fn tell_of_broken_pipe(cx: &SyscallCx<'_>, failure: &Fail) {
    if failure.is(errno::EPIPE) {
        signal::send_to_task(cx.task, SignalInfo::kernel(Signal::PIPE));
    }
}
