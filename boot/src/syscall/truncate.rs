//! `truncate(2)`, `ftruncate(2)`, `fallocate(2)`, and the calls that only advise: `readahead(2)`, `fadvise64(2)`.

use super::{Fd, Int, Long, PathPtr, Size, UInt, paths};
use crate::error::{Fail, Outcome, SyscallResult, fail};
use crate::fs::{Access, FileCx, FileKind, Path, attribute_rules, notify, permission};
use crate::prelude::{SyscallCx, errno, uapi};
use crate::signal::{self, Signal, SignalInfo};
use crate::task::Resource;

/// Handles `truncate(path, length)`.
pub(super) fn sys_truncate(cx: &mut SyscallCx<'_>, path: PathPtr, raw_length: Long) -> SyscallResult {
    let length = check_length(raw_length)?;
    let found = paths::lookup(cx, Fd::CWD, path, 0)?;
    match found.inode().kind() {
        FileKind::Regular => {}
        FileKind::Directory => return Err(fail(errno::EISDIR, "a directory can't be cut off")),
        _ => return Err(fail(errno::EINVAL, "not a regular file")),
    }
    permission::check(&cx.credentials(), &found, Access::WRITE)?;
    set_size(cx, &found, length)
}

/// Handles `ftruncate(fd, length)`.
pub(super) fn sys_ftruncate(cx: &mut SyscallCx<'_>, fd: Fd, raw_length: Long) -> SyscallResult {
    let length = check_length(raw_length)?;
    let file = cx.file(fd)?;
    if file.inode().kind() != FileKind::Regular || !file.flags().is_writable() {
        return Err(fail(errno::EINVAL, "not a regular file that is open for writing"));
    }
    set_size(cx, file.path(), length)
}

fn check_length(raw_length: Long) -> Result<u64, Fail> {
    u64::try_from(raw_length).map_err(|_| fail(errno::EINVAL, "`length` is negative"))
}

fn set_size(cx: &SyscallCx<'_>, path: &Path, length: u64) -> SyscallResult {
    check_limit(cx, length)?;
    attribute_rules::change_size(&cx.credentials(), path, length)?;
    Ok(Outcome::OK)
}

/// Checks that a file may get this size (`RLIMIT_FSIZE`).
fn check_limit(cx: &SyscallCx<'_>, size: u64) -> Result<(), Fail> {
    if size > cx.group().rlimits().get(Resource::FileSize).soft {
        signal::send_to_task(cx.task, SignalInfo::kernel(Signal::XFSZ));
        return Err(fail(errno::EFBIG, "more than RLIMIT_FSIZE"));
    }
    Ok(())
}

/// Handles `fallocate(fd, mode, offset, len)`.
pub(super) fn sys_fallocate(
    cx: &mut SyscallCx<'_>,
    fd: Fd,
    mode: UInt,
    raw_offset: Long,
    raw_len: Long,
) -> SyscallResult {
    let file = cx.file(fd)?;
    let invalid = fail(errno::EINVAL, "`offset` or `len` is negative or zero");
    let (Ok(offset), Ok(len)) = (u64::try_from(raw_offset), u64::try_from(raw_len)) else {
        return Err(invalid);
    };
    if len == 0 {
        return Err(invalid);
    }
    let known = uapi::FALLOC_FL_KEEP_SIZE
        | uapi::FALLOC_FL_PUNCH_HOLE
        | uapi::FALLOC_FL_COLLAPSE_RANGE
        | uapi::FALLOC_FL_ZERO_RANGE
        | uapi::FALLOC_FL_INSERT_RANGE
        | uapi::FALLOC_FL_UNSHARE_RANGE;
    if mode & !known != 0 {
        return Err(fail(errno::EOPNOTSUPP, "unknown `mode`"));
    }
    file.check_writable()?;
    match file.inode().kind() {
        FileKind::Regular => {}
        FileKind::Directory => return Err(errno::EISDIR.into()),
        FileKind::Fifo => return Err(errno::ESPIPE.into()),
        _ => return Err(errno::ENODEV.into()),
    }
    let end = offset.checked_add(len).filter(|end| i64::try_from(*end).is_ok()).ok_or(errno::EFBIG)?;
    if mode & uapi::FALLOC_FL_KEEP_SIZE == 0 {
        check_limit(cx, end)?;
    }
    file.ops().allocate(&FileCx { task: cx.task, file: &file }, mode, offset, len)?;
    notify::of_file(&file.path().dentry, notify::Event::MODIFY);
    Ok(Outcome::OK)
}

/// Handles `readahead(fd, offset, count)`: checked, and left to the host's own reading ahead.
pub(super) fn sys_readahead(cx: &mut SyscallCx<'_>, fd: Fd, _offset: Long, _count: Size) -> SyscallResult {
    let file = cx.file(fd)?;
    file.check_readable()?;
    if file.inode().kind() != FileKind::Regular {
        return Err(fail(errno::EINVAL, "not a regular file"));
    }
    Ok(Outcome::OK)
}

/// Handles `fadvise64(fd, offset, len, advice)`: checked, and left to the host's own judgement.
pub(super) fn sys_fadvise64(
    cx: &mut SyscallCx<'_>,
    fd: Fd,
    _offset: Long,
    len: Long,
    advice: Int,
) -> SyscallResult {
    let file = cx.file(fd)?;
    if file.ops().is_stream() {
        return Err(fail(errno::ESPIPE, "a stream has no positions"));
    }
    // POSIX_FADV_NORMAL to POSIX_FADV_NOREUSE.
    if len < 0 || !(0..=5).contains(&advice) {
        return Err(fail(errno::EINVAL, "`len` is negative, or `advice` unknown"));
    }
    Ok(Outcome::OK)
}
