//! What the calls that take a path have in common.

use super::{Fd, PathPtr};
use crate::context::SyscallCx;
use crate::error::{Fail, fail};
use crate::fs::{FileKind, Follow, NewName, Path, Walker};
use crate::prelude::{errno, uapi};

/// Returns the directory where the resolution of `path` begins.
///
/// # Errors
///
/// `EBADF`, `ENOTDIR` for a relative path.
pub(super) fn base(cx: &SyscallCx<'_>, dir: Fd, path: &[u8]) -> Result<Path, Fail> {
    if dir == Fd::CWD || path.first() == Some(&b'/') {
        return Ok(cx.task.fs().cwd());
    }
    let base = cx.any_file(dir)?.path().clone();
    if !path.is_empty() && base.inode().kind() != FileKind::Directory {
        return Err(fail(errno::ENOTDIR, "`dirfd` is no directory"));
    }
    Ok(base)
}

/// Returns what a path names; with `AT_EMPTY_PATH` in `flags` an empty one names what `dir` refers to, and with
/// `AT_SYMLINK_NOFOLLOW` a symbolic link is not followed.
///
/// # Errors
///
/// As [`Walker::lookup`].
pub(super) fn lookup(cx: &SyscallCx<'_>, dir: Fd, path: PathPtr, flags: u32) -> Result<Path, Fail> {
    lookup_as(cx, Walker::new(cx.task), dir, path, flags)
}

/// As [`lookup`], with other credentials.
pub(super) fn lookup_as(
    cx: &SyscallCx<'_>,
    mut walker: Walker<'_>,
    dir: Fd,
    path: PathPtr,
    flags: u32,
) -> Result<Path, Fail> {
    let accepts_empty = flags & uapi::AT_EMPTY_PATH != 0;
    // Newer C libraries give a null pointer in place of an empty string (Linux 6.11).
    let path = if accepts_empty && path.0.is_null() { Vec::new() } else { cx.memory().read_path(path)? };
    let base = base(cx, dir, &path)?;
    if path.is_empty() && accepts_empty {
        return Ok(base);
    }
    let follow = if flags & uapi::AT_SYMLINK_NOFOLLOW != 0 { Follow::No } else { Follow::Yes };
    Ok(walker.lookup(base, &path, follow)?)
}

/// Runs `work` with the directory and the last component of a path, for a call that makes or removes a name.
///
/// # Errors
///
/// As [`Walker::walk_to_last`], and what `work` fails with.
pub(super) fn with_name<T>(
    cx: &SyscallCx<'_>,
    dir: Fd,
    path: PathPtr,
    work: impl FnOnce(&Walker<'_>, &NewName<'_>) -> Result<T, Fail>,
) -> Result<T, Fail> {
    let path = cx.memory().read_path(path)?;
    let mut walker = Walker::new(cx.task);
    let (directory, last) = walker.walk_to_last(base(cx, dir, &path)?, &path)?;
    work(&walker, &NewName { directory, last })
}

/// Checks that `flags` contains none but `known`.
///
/// # Errors
///
/// `EINVAL` if it does.
pub(super) fn check_flags(flags: u32, known: u32) -> Result<(), Fail> {
    if flags & !known == 0 { Ok(()) } else { Err(fail(errno::EINVAL, "unknown `flags`")) }
}
