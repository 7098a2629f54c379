//! `getcwd(2)`, `chdir(2)`, `fchdir(2)`, `chroot(2)`, `umask(2)`.

use super::{Address, Fd, PathPtr, Size, UInt, paths};
use crate::error::{Fail, Outcome, SyscallResult, fail};
use crate::fs::{Path, permission};
use crate::prelude::{SyscallCx, errno};
use crate::task::Capabilities;

/// Handles `getcwd(buf, size)`. Returns the length with the NUL.
pub(super) fn sys_getcwd(cx: &mut SyscallCx<'_>, buf: Address, size: Size) -> SyscallResult {
    let fs = cx.task.fs();
    let cwd = fs.cwd();
    let told = cwd.to_text(&fs.root());
    if told.is_removed {
        return Err(fail(errno::ENOENT, "the current directory was removed"));
    }
    let mut text = if told.is_reachable { Vec::new() } else { b"(unreachable)".to_vec() };
    text.extend_from_slice(&told.text);
    text.push(0);
    if text.len() > size {
        return Err(fail(errno::ERANGE, "`size` is too small"));
    }
    cx.memory().write_bytes(buf, &text)?;
    Ok(text.len().into())
}

/// Handles `chdir(path)`.
pub(super) fn sys_chdir(cx: &mut SyscallCx<'_>, path: PathPtr) -> SyscallResult {
    let found = paths::lookup(cx, Fd::CWD, path, 0)?;
    set_cwd(cx, found)
}

/// Handles `fchdir(fd)`.
pub(super) fn sys_fchdir(cx: &mut SyscallCx<'_>, fd: Fd) -> SyscallResult {
    let path = cx.any_file(fd)?.path().clone();
    set_cwd(cx, path)
}

fn set_cwd(cx: &SyscallCx<'_>, path: Path) -> SyscallResult {
    check_directory(cx, &path)?;
    cx.task.fs().set_cwd(path);
    Ok(Outcome::OK)
}

fn check_directory(cx: &SyscallCx<'_>, path: &Path) -> Result<(), Fail> {
    Ok(permission::check_search(&cx.credentials(), &**path.inode())?)
}

/// Handles `chroot(path)`.
pub(super) fn sys_chroot(cx: &mut SyscallCx<'_>, path: PathPtr) -> SyscallResult {
    let found = paths::lookup(cx, Fd::CWD, path, 0)?;
    check_directory(cx, &found)?;
    if !cx.credentials().has(Capabilities::SYS_CHROOT) {
        return Err(fail(errno::EPERM, "needs CAP_SYS_CHROOT"));
    }
    cx.task.fs().set_root(found);
    Ok(Outcome::OK)
}

/// Handles `umask(mask)`. Returns the one before.
pub(super) fn sys_umask(cx: &mut SyscallCx<'_>, mask: UInt) -> SyscallResult {
    Ok(cx.task.fs().set_umask(mask).into())
}
