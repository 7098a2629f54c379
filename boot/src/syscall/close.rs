//! `close(2)`, `close_range(2)`, `dup(2)`, `dup2(2)`, `dup3(2)`.

use super::{Fd, UInt, paths};
use crate::error::{Outcome, SyscallResult, fail};
use crate::fs::{FdFlags, FdTable, OpenFlags};
use crate::prelude::{Arc, SyscallCx, errno};

/// `CLOSE_RANGE_UNSHARE` of `linux/close_range.h`.
const CLOSE_RANGE_UNSHARE: u32 = 2;
/// `CLOSE_RANGE_CLOEXEC` of `linux/close_range.h`.
const CLOSE_RANGE_CLOEXEC: u32 = 4;

/// Handles `close(fd)`.
pub(super) fn sys_close(cx: &mut SyscallCx<'_>, fd: Fd) -> SyscallResult {
    let file = cx.files().remove(fd.0).ok_or(fail(errno::EBADF, "not open"))?;
    cx.files().finish_close(cx.task, &file);
    Ok(Outcome::OK)
}

/// Handles `close_range(first, last, flags)`.
pub(super) fn sys_close_range(cx: &mut SyscallCx<'_>, first: UInt, last: UInt, flags: UInt) -> SyscallResult {
    paths::check_flags(flags, CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)?;
    if first > last {
        return Err(fail(errno::EINVAL, "`first` is greater than `last`"));
    }
    if flags & CLOSE_RANGE_UNSHARE != 0 {
        let own = Arc::new(FdTable::copy_of(cx.files()));
        cx.task.parts().files = Some(Arc::clone(&own));
        let shared = std::mem::replace(&mut cx.run.files, own);
        shared.release(cx.task);
    }
    if flags & CLOSE_RANGE_CLOEXEC != 0 {
        cx.files().close_range_on_exec(first, last);
    } else {
        cx.files().close_range(cx.task, first, last);
    }
    Ok(Outcome::OK)
}

/// Handles `dup(oldfd)`.
pub(super) fn sys_dup(cx: &mut SyscallCx<'_>, old: Fd) -> SyscallResult {
    let file = cx.any_file(old)?;
    Ok(cx.install(file, false)?.into())
}

/// Handles `dup2(oldfd, newfd)`.
pub(super) fn sys_dup2(cx: &mut SyscallCx<'_>, old: Fd, new: Fd) -> SyscallResult {
    if old == new {
        cx.any_file(old)?;
        return Ok(new.0.into());
    }
    replace(cx, old, new, FdFlags::empty())
}

/// Handles `dup3(oldfd, newfd, flags)`.
pub(super) fn sys_dup3(cx: &mut SyscallCx<'_>, old: Fd, new: Fd, flags: UInt) -> SyscallResult {
    let close_on_exec = OpenFlags::CLOSE_ON_EXEC.bits();
    paths::check_flags(flags, close_on_exec)?;
    if old == new {
        return Err(fail(errno::EINVAL, "`oldfd` is `newfd`"));
    }
    replace(cx, old, new, FdFlags::close_on_exec(flags & close_on_exec != 0))
}

fn replace(cx: &mut SyscallCx<'_>, old: Fd, new: Fd, flags: FdFlags) -> SyscallResult {
    let file = cx.any_file(old)?;
    let limit = cx.open_files_limit();
    if let Some(before) = cx.files().replace(new.0, file, flags, limit)? {
        cx.files().finish_close(cx.task, &before);
    }
    Ok(new.0.into())
}
