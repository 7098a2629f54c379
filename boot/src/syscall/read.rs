//! `read(2)`, `readv(2)`, `pread64(2)`, `preadv(2)`, `preadv2(2)`.

use super::{Address, Fd, Int, Long, Size, rw_flags};
use crate::error::SyscallResult;
use crate::fs::{At, TransferFlags, transfer};
use crate::mm::UserSink;
use crate::prelude::SyscallCx;

/// Handles `read(fd, buf, count)`.
pub(super) fn sys_read(cx: &mut SyscallCx<'_>, fd: Fd, buf: Address, count: Size) -> SyscallResult {
    let sink = cx.memory().sink(buf, rw_flags::check_count(count)?);
    read(cx, fd, sink, At::Position, TransferFlags::default())
}

/// Handles `readv(fd, iov, iovcnt)`.
pub(super) fn sys_readv(cx: &mut SyscallCx<'_>, fd: Fd, iov: Address, count: Size) -> SyscallResult {
    let ranges = cx.memory().read_iovec(iov, count)?;
    let sink = cx.memory().sink_of(ranges);
    read(cx, fd, sink, At::Position, TransferFlags::default())
}

/// Handles `pread64(fd, buf, count, offset)`.
pub(super) fn sys_pread64(
    cx: &mut SyscallCx<'_>,
    fd: Fd,
    buf: Address,
    count: Size,
    raw_offset: Long,
) -> SyscallResult {
    let at = At::Offset(rw_flags::check_offset(raw_offset)?);
    let sink = cx.memory().sink(buf, rw_flags::check_count(count)?);
    read(cx, fd, sink, at, TransferFlags::default())
}

/// Handles `preadv(fd, iov, iovcnt, pos_l, pos_h)`; the upper half of the position is in the lower on 64-bit machines.
pub(super) fn sys_preadv(
    cx: &mut SyscallCx<'_>,
    fd: Fd,
    iov: Address,
    count: Size,
    raw_offset: Long,
    _upper: Long,
) -> SyscallResult {
    let at = At::Offset(rw_flags::check_offset(raw_offset)?);
    let ranges = cx.memory().read_iovec(iov, count)?;
    let sink = cx.memory().sink_of(ranges);
    read(cx, fd, sink, at, TransferFlags::default())
}

/// Handles `preadv2(fd, iov, iovcnt, pos_l, pos_h, flags)`; the position -1 is the file's own.
pub(super) fn sys_preadv2(
    cx: &mut SyscallCx<'_>,
    fd: Fd,
    iov: Address,
    count: Size,
    raw_offset: Long,
    _upper: Long,
    flags: Int,
) -> SyscallResult {
    let at = if raw_offset == -1 { At::Position } else { At::Offset(rw_flags::check_offset(raw_offset)?) };
    let flags = rw_flags::parse(flags)?;
    let ranges = cx.memory().read_iovec(iov, count)?;
    let sink = cx.memory().sink_of(ranges);
    read(cx, fd, sink, at, flags)
}

fn read(cx: &mut SyscallCx<'_>, fd: Fd, mut sink: UserSink, at: At, flags: TransferFlags) -> SyscallResult {
    let file = cx.file(fd)?;
    Ok(transfer::read(cx, &file, &mut sink, at, flags)?.into())
}
