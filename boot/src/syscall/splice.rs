//! `splice(2)`, `tee(2)`, `vmsplice(2)`.

use super::offsets::Place;
use super::{Address, Fd, Size, UInt, paths, sendfile};
use crate::context::SyscallCx;
use crate::error::{Fail, Restart, SyscallResult, fail};
use crate::event::Events;
use crate::fs::pipe::{PIPE_BUF, Pipe, PipeEnd};
use crate::fs::{At, FileCx, OpenFile, OpenFlags, TransferFlags, transfer};
use crate::prelude::{Arc, errno};

/// `SPLICE_F_NONBLOCK` of `splice(2)`.
const NON_BLOCKING: u32 = 2;

/// All flags: `SPLICE_F_MOVE`, `SPLICE_F_NONBLOCK`, `SPLICE_F_MORE`, `SPLICE_F_GIFT`.
const FLAGS: u32 = 0xf;

/// The most bytes that are moved at a time: as many as a pipe usually holds.
const CHUNK: usize = 64 << 10;

fn pipe_of(file: &OpenFile) -> Option<&Arc<Pipe>> {
    file.ops_as::<PipeEnd>().map(PipeEnd::pipe)
}

/// Handles `splice(fd_in, off_in, fd_out, off_out, len, flags)`. What is moved is copied.
pub(super) fn sys_splice(
    cx: &mut SyscallCx<'_>,
    fd_in: Fd,
    off_in: Address,
    fd_out: Fd,
    off_out: Address,
    len: Size,
    flags: UInt,
) -> SyscallResult {
    paths::check_flags(flags, FLAGS)?;
    if len == 0 {
        return Ok(0_usize.into());
    }
    let (input, output) = (cx.file(fd_in)?, cx.file(fd_out)?);
    input.check_readable()?;
    output.check_writable()?;
    let (from, to) = (Place::read(cx, off_in, &input)?, Place::read(cx, off_out, &output)?);
    match (pipe_of(&input), pipe_of(&output)) {
        (None, None) => return Err(fail(errno::EINVAL, "neither is a pipe")),
        (Some(a), Some(b)) if Arc::ptr_eq(a, b) => return Err(fail(errno::EINVAL, "both are one pipe")),
        _ => {}
    }
    if output.flags().contains(OpenFlags::APPEND) {
        return Err(fail(errno::EINVAL, "`fd_out` is open with O_APPEND"));
    }
    let moved = wait_for_both(cx, &input, &output, flags, |cx| match (pipe_of(&input), pipe_of(&output)) {
        (Some(pipe), _) => from_pipe(cx, &input, pipe, &output, to.after(0), len),
        (None, Some(pipe)) => to_pipe(cx, &input, from.after(0), &output, pipe, len),
        (None, None) => Err(errno::EINVAL.into()),
    })?;
    from.write_back(cx, moved)?;
    to.write_back(cx, moved)?;
    Ok(moved.into())
}

/// Runs `attempt` until something was moved, waiting for the input to have something and for the output to have room.
fn wait_for_both(
    cx: &mut SyscallCx<'_>,
    input: &Arc<OpenFile>,
    output: &Arc<OpenFile>,
    flags: u32,
    mut attempt: impl FnMut(&mut SyscallCx<'_>) -> Result<usize, Fail>,
) -> Result<usize, Fail> {
    match attempt(cx) {
        Err(failure) if failure.is(errno::EAGAIN) => {
            if flags & NON_BLOCKING != 0 || input.is_non_blocking() || output.is_non_blocking() {
                return Err(failure);
            }
        }
        ended => return ended,
    }
    if let Some(queue) = input.ops().poll_queue() {
        cx.wake_on(queue, Events::READABLE);
    }
    if let Some(queue) = output.ops().poll_queue() {
        cx.wake_on(queue, Events::WRITABLE);
    }
    match attempt(cx) {
        Err(failure) if failure.is(errno::EAGAIN) => Err(cx.park(None, Restart::Sys)),
        ended => ended,
    }
}

/// Moves bytes out of a pipe; those that find no place go back to it.
fn from_pipe(
    cx: &mut SyscallCx<'_>,
    input: &Arc<OpenFile>,
    pipe: &Pipe,
    output: &Arc<OpenFile>,
    to: At,
    len: usize,
) -> Result<usize, Fail> {
    let mut buffer = vec![0; len.min(CHUNK)];
    let read = input.ops().read(&FileCx { task: cx.task, file: input }, &mut buffer.as_mut_slice())?;
    let bytes = buffer.get(..read).unwrap_or_default();
    let written = match to {
        At::Position => sendfile::write(cx, output, bytes),
        At::Offset(_) => transfer::write_at(cx, output, &mut &*bytes, to, TransferFlags::default()),
    };
    let rest = bytes.get(*written.as_ref().unwrap_or(&0)..).unwrap_or_default();
    if !rest.is_empty() {
        pipe.put_back(rest);
    }
    written
}

/// Moves bytes into a pipe: no more than there is room for.
fn to_pipe(
    cx: &mut SyscallCx<'_>,
    input: &Arc<OpenFile>,
    from: At,
    output: &Arc<OpenFile>,
    pipe: &Pipe,
    len: usize,
) -> Result<usize, Fail> {
    let room = pipe.room();
    if room == 0 {
        let is_broken = output.ops().poll(output).contains(Events::ERR);
        return Err(if is_broken { transfer::broken_pipe(cx) } else { errno::EAGAIN.into() });
    }
    let is_stream = input.ops().is_stream();
    // What a stream gave can't be given back to it: so it is read in units that a pipe takes whole or not at all.
    let chunk = if is_stream { PIPE_BUF } else { CHUNK };
    let mut buffer = vec![0; len.min(chunk).min(room)];
    let mut sink = buffer.as_mut_slice();
    let file_cx = FileCx { task: cx.task, file: input };
    let start = if is_stream { 0 } else { *input.position() };
    let read = if is_stream {
        input.ops().read(&file_cx, &mut sink)?
    } else {
        transfer::read_at(&file_cx, &mut sink, from)?
    };
    let mut bytes = buffer.get(..read).unwrap_or_default();
    if read == 0 {
        return Ok(0);
    }
    let written = transfer::write_stream_now(cx, output, &mut bytes);
    let done = *written.as_ref().unwrap_or(&0);
    if done < read {
        // Somebody else took the room meanwhile.
        if is_stream {
            pipe.put_back(buffer.get(done..read).unwrap_or_default());
            return Ok(read);
        }
        if from == At::Position {
            *input.position() = start.saturating_add(done as u64);
        }
    }
    written
}

/// Handles `tee(fd_in, fd_out, len, flags)`.
pub(super) fn sys_tee(
    cx: &mut SyscallCx<'_>,
    fd_in: Fd,
    fd_out: Fd,
    len: Size,
    flags: UInt,
) -> SyscallResult {
    paths::check_flags(flags, FLAGS)?;
    if len == 0 {
        return Ok(0_usize.into());
    }
    let (input, output) = (cx.file(fd_in)?, cx.file(fd_out)?);
    input.check_readable()?;
    output.check_writable()?;
    let (Some(from), Some(to)) = (pipe_of(&input), pipe_of(&output)) else {
        return Err(fail(errno::EINVAL, "not two pipes"));
    };
    if Arc::ptr_eq(from, to) {
        return Err(fail(errno::EINVAL, "both are one pipe"));
    }
    let moved = wait_for_both(cx, &input, &output, flags, |cx| {
        let bytes = from.peek(len.min(CHUNK))?;
        if bytes.is_empty() { Ok(0) } else { transfer::write_stream_now(cx, &output, &mut bytes.as_slice()) }
    })?;
    Ok(moved.into())
}

/// Handles `vmsplice(fd, iov, nr_segs, flags)`. Pages are copied, so a caller may use them again at once.
pub(super) fn sys_vmsplice(
    cx: &mut SyscallCx<'_>,
    fd: Fd,
    iov: Address,
    count: Size,
    flags: UInt,
) -> SyscallResult {
    paths::check_flags(flags, FLAGS)?;
    let file = cx.file(fd)?;
    if pipe_of(&file).is_none() {
        return Err(fail(errno::EBADF, "not a pipe"));
    }
    let ranges = cx.memory().read_iovec(iov, count)?;
    let how = TransferFlags { no_wait: flags & NON_BLOCKING != 0, ..TransferFlags::default() };
    if file.flags().is_writable() {
        let mut source = cx.memory().source_of(ranges);
        return Ok(transfer::write(cx, &file, &mut source, At::Position, how)?.into());
    }
    let mut sink = cx.memory().sink_of(ranges);
    Ok(transfer::read(cx, &file, &mut sink, At::Position, how)?.into())
}
