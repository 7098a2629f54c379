//! `write(2)`, `writev(2)`, `pwrite64(2)`, `pwritev(2)`, `pwritev2(2)`.

use super::{Address, Fd, Int, Long, Size, rw_flags};
use crate::error::SyscallResult;
use crate::fs::{At, TransferFlags, transfer};
use crate::mm::UserSource;
use crate::prelude::SyscallCx;

/// Handles `write(fd, buf, count)`.
pub(super) fn sys_write(cx: &mut SyscallCx<'_>, fd: Fd, buf: Address, count: Size) -> SyscallResult {
    let source = cx.memory().source(buf, rw_flags::check_count(count)?);
    write(cx, fd, source, At::Position, TransferFlags::default())
}

/// Handles `writev(fd, iov, iovcnt)`.
pub(super) fn sys_writev(cx: &mut SyscallCx<'_>, fd: Fd, iov: Address, count: Size) -> SyscallResult {
    let ranges = cx.memory().read_iovec(iov, count)?;
    let source = cx.memory().source_of(ranges);
    write(cx, fd, source, At::Position, TransferFlags::default())
}

/// Handles `pwrite64(fd, buf, count, offset)`. As in Linux, a file that is open with `O_APPEND` is appended to, whatever the
/// offset is (`pwrite(2)`, "Bugs").
pub(super) fn sys_pwrite64(
    cx: &mut SyscallCx<'_>,
    fd: Fd,
    buf: Address,
    count: Size,
    raw_offset: Long,
) -> SyscallResult {
    let at = At::Offset(rw_flags::check_offset(raw_offset)?);
    let source = cx.memory().source(buf, rw_flags::check_count(count)?);
    write(cx, fd, source, at, TransferFlags::default())
}

/// Handles `pwritev(fd, iov, iovcnt, pos_l, pos_h)`; the upper half of the position is in the lower on 64-bit machines.
pub(super) fn sys_pwritev(
    cx: &mut SyscallCx<'_>,
    fd: Fd,
    iov: Address,
    count: Size,
    raw_offset: Long,
    _upper: Long,
) -> SyscallResult {
    let at = At::Offset(rw_flags::check_offset(raw_offset)?);
    let ranges = cx.memory().read_iovec(iov, count)?;
    let source = cx.memory().source_of(ranges);
    write(cx, fd, source, at, TransferFlags::default())
}

/// Handles `pwritev2(fd, iov, iovcnt, pos_l, pos_h, flags)`; the position -1 is the file's own.
pub(super) fn sys_pwritev2(
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
    let source = cx.memory().source_of(ranges);
    write(cx, fd, source, at, flags)
}

fn write(
    cx: &mut SyscallCx<'_>,
    fd: Fd,
    mut source: UserSource,
    at: At,
    flags: TransferFlags,
) -> SyscallResult {
    let file = cx.file(fd)?;
    Ok(transfer::write(cx, &file, &mut source, at, flags)?.into())
}
