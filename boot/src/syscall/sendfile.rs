//! `sendfile(2)`, `copy_file_range(2)`.

use super::offsets::Place;
use super::{Address, Fd, Size, UInt};
use crate::context::SyscallCx;
use crate::error::{Fail, Restart, SyscallResult, fail};
use crate::event::Events;
use crate::fs::{At, FileCx, FileKind, OpenFile, OpenFlags, TransferFlags, transfer, with_scratch};
use crate::prelude::{Arc, errno};

/// The most bytes that one call moves: others want the worker too, and callers go on where a call has ended.
const MAX_CALL: usize = 16 << 20;

/// Handles `sendfile(out_fd, in_fd, offset, count)`. Less than `count` may be moved (`sendfile(2)`, "Notes").
pub(super) fn sys_sendfile(
    cx: &mut SyscallCx<'_>,
    out_fd: Fd,
    in_fd: Fd,
    offset: Address,
    count: Size,
) -> SyscallResult {
    let (input, output) = (cx.file(in_fd)?, cx.file(out_fd)?);
    input.check_readable()?;
    output.check_writable()?;
    let from = Place::read(cx, offset, &input)?;
    if input.ops().is_stream() || input.inode().kind() == FileKind::Directory {
        return Err(fail(errno::EINVAL, "`in_fd` has no positions"));
    }
    if output.flags().contains(OpenFlags::APPEND) {
        return Err(fail(errno::EINVAL, "`out_fd` is open with O_APPEND"));
    }
    if isize::try_from(count).is_err() {
        return Err(fail(errno::EINVAL, "`count` is too large"));
    }
    let attempt = |cx: &mut SyscallCx<'_>| {
        copy(cx, (&input, from), &output, count, |cx, bytes, _| write(cx, &output, bytes))
    };
    let queue = output.ops().poll_queue().filter(|_| !output.is_non_blocking());
    let moved = match queue {
        Some(queue) => cx.block_on(queue, Events::WRITABLE, None, Restart::Sys, attempt)?,
        None => attempt(cx)?,
    };
    from.write_back(cx, moved)?;
    Ok(moved.into())
}

/// Handles `copy_file_range(fd_in, off_in, fd_out, off_out, len, flags)`. Less than `len` may be moved.
pub(super) fn sys_copy_file_range(
    cx: &mut SyscallCx<'_>,
    fd_in: Fd,
    off_in: Address,
    fd_out: Fd,
    off_out: Address,
    len: Size,
    flags: UInt,
) -> SyscallResult {
    let (input, output) = (cx.file(fd_in)?, cx.file(fd_out)?);
    let (from, to) = (Place::read(cx, off_in, &input)?, Place::read(cx, off_out, &output)?);
    super::paths::check_flags(flags, 0)?;
    for file in [&input, &output] {
        match file.inode().kind() {
            FileKind::Regular => {}
            FileKind::Directory => return Err(fail(errno::EISDIR, "a directory has no contents to copy")),
            _ => return Err(fail(errno::EINVAL, "only regular files are copied")),
        }
    }
    input.check_readable()?;
    output.check_writable()?;
    if output.flags().contains(OpenFlags::APPEND) {
        return Err(fail(errno::EBADF, "`fd_out` is open with O_APPEND"));
    }
    let len = len.min(MAX_CALL);
    if Arc::ptr_eq(input.inode(), output.inode()) {
        let (from, to) = (from.start(&input), to.start(&output));
        if from < to.saturating_add(len as u64) && to < from.saturating_add(len as u64) {
            return Err(fail(errno::EINVAL, "the ranges overlap"));
        }
    }
    let moved = copy(cx, (&input, from), &output, len, |cx, mut bytes, done| {
        transfer::write_at(cx, &output, &mut bytes, to.after(done), TransferFlags::default())
    })?;
    from.write_back(cx, moved)?;
    to.write_back(cx, moved)?;
    Ok(moved.into())
}

/// Writes the kernel's own bytes to a file, at its position if it has one.
pub(super) fn write(cx: &mut SyscallCx<'_>, file: &Arc<OpenFile>, mut bytes: &[u8]) -> Result<usize, Fail> {
    if file.ops().is_stream() {
        return transfer::write_stream_now(cx, file, &mut bytes);
    }
    transfer::write_at(cx, file, &mut bytes, At::Position, TransferFlags::default())
}

/// Copies from a file with positions, by `write`, which gets the bytes and how many were moved before. The input's own
/// position moves by as much as was written.
fn copy(
    cx: &mut SyscallCx<'_>,
    (input, from): (&Arc<OpenFile>, Place),
    output: &Arc<OpenFile>,
    count: usize,
    mut write: impl FnMut(&mut SyscallCx<'_>, &[u8], usize) -> Result<usize, Fail>,
) -> Result<usize, Fail> {
    let count = count.min(MAX_CALL);
    let start = from.start(input);
    let mut moved = 0;
    let mut failure = None;
    while moved < count {
        let at = At::Offset(start.saturating_add(moved as u64));
        let step = with_scratch(count - moved, |mut part| {
            let read = transfer::read_at(&FileCx { task: cx.task, file: input }, &mut &mut *part, at)?;
            part = part.get_mut(..read).unwrap_or_default();
            if part.is_empty() { Ok((0, 0)) } else { write(cx, part, moved).map(|written| (read, written)) }
        });
        match step {
            Ok((read, written)) => {
                moved += written;
                if written < read || read == 0 {
                    break;
                }
            }
            Err(failed) => {
                failure = Some(failed);
                break;
            }
        }
    }
    if let Some(failure) = failure.filter(|_| moved == 0) {
        return Err(failure);
    }
    if from.after(0) == At::Position {
        *input.position() = start.saturating_add(moved as u64);
    }
    if moved > 0 {
        crate::fs::notify::of_file(&output.path().dentry, crate::fs::notify::Event::MODIFY);
    }
    Ok(moved)
}
