//! `fsync(2)`, `fdatasync(2)`, `sync(2)`, `syncfs(2)`, `sync_file_range(2)`.

use super::{Fd, Long, UInt, paths};
use crate::error::{Outcome, SyscallResult, fail};
use crate::prelude::{SyscallCx, errno, uapi};

/// Handles `fsync(fd)`.
pub(super) fn sys_fsync(cx: &mut SyscallCx<'_>, fd: Fd) -> SyscallResult {
    cx.file(fd)?.ops().sync(false)?;
    Ok(Outcome::OK)
}

/// Handles `fdatasync(fd)`.
pub(super) fn sys_fdatasync(cx: &mut SyscallCx<'_>, fd: Fd) -> SyscallResult {
    cx.file(fd)?.ops().sync(true)?;
    Ok(Outcome::OK)
}

/// Handles `sync()`. It never fails: what a file system says is lost, as in Linux.
pub(super) fn sys_sync(cx: &mut SyscallCx<'_>) -> SyscallResult {
    for mount in cx.task.fs().namespace().mounts() {
        let _ = mount.file_system.sync();
    }
    Ok(Outcome::OK)
}

/// Handles `syncfs(fd)`.
pub(super) fn sys_syncfs(cx: &mut SyscallCx<'_>, fd: Fd) -> SyscallResult {
    cx.file(fd)?.path().mount.file_system.sync()?;
    Ok(Outcome::OK)
}

/// Handles `sync_file_range(fd, offset, nbytes, flags)`: writes the whole file's data out, which is more than asked for.
pub(super) fn sys_sync_file_range(
    cx: &mut SyscallCx<'_>,
    fd: Fd,
    offset: Long,
    count: Long,
    flags: UInt,
) -> SyscallResult {
    let file = cx.file(fd)?;
    let known =
        uapi::SYNC_FILE_RANGE_WAIT_BEFORE | uapi::SYNC_FILE_RANGE_WRITE | uapi::SYNC_FILE_RANGE_WAIT_AFTER;
    paths::check_flags(flags, known)?;
    if offset < 0 || count < 0 || offset.checked_add(count).is_none() {
        return Err(fail(errno::EINVAL, "the range is invalid"));
    }
    if file.ops().is_stream() {
        return Err(fail(errno::ESPIPE, "a stream has no positions"));
    }
    file.ops().sync(true)?;
    Ok(Outcome::OK)
}
