//! `inotify_init(2)`, `inotify_add_watch(2)`, `inotify_rm_watch(2)`.

use super::{Fd, Int, PathPtr, UInt};
use crate::context::Because;
use crate::error::{Fail, SyscallResult, fail};
use crate::event::{Inotify, WatchMask};
use crate::fs::{Access, FileKind, Follow, OpenFile, OpenFlags, Walker, anon, permission};
use crate::prelude::{SyscallCx, errno};

/// Handles `inotify_init()`.
pub(super) fn sys_inotify_init(cx: &mut SyscallCx<'_>) -> SyscallResult {
    sys_inotify_init1(cx, 0)
}

/// Handles `inotify_init1(flags)`.
pub(super) fn sys_inotify_init1(cx: &mut SyscallCx<'_>, raw_flags: Int) -> SyscallResult {
    let flags = OpenFlags::from_bits_retain(raw_flags.cast_unsigned());
    if !(OpenFlags::CLOSE_ON_EXEC | OpenFlags::NON_BLOCKING).contains(flags) {
        return Err(fail(errno::EINVAL, "unknown `flags`"));
    }
    anon::install_object(cx, "inotify", Box::<Inotify>::default(), flags)
}

fn instance(file: &OpenFile) -> Result<&Inotify, Fail> {
    file.ops_as::<Inotify>().ok_or(fail(errno::EINVAL, "not an inotify instance"))
}

/// Handles `inotify_add_watch(fd, pathname, mask)`.
pub(super) fn sys_inotify_add_watch(
    cx: &mut SyscallCx<'_>,
    fd: Fd,
    path: PathPtr,
    raw_mask: UInt,
) -> SyscallResult {
    let mask = WatchMask::from_bits_truncate(raw_mask) - WatchMask::OVERFLOW - WatchMask::IGNORED;
    if !mask.intersects(WatchMask::ALL_EVENTS) || mask.contains(WatchMask::ADD | WatchMask::MUST_CREATE) {
        return Err(fail(errno::EINVAL, "`mask` has no event, or flags that exclude each other"));
    }
    let file = cx.file(fd)?;
    let inotify = instance(&file)?;
    let path = cx.memory().read_path(path)?;
    let follow = if mask.contains(WatchMask::NO_FOLLOW) { Follow::No } else { Follow::Yes };
    let mut walker = Walker::new(cx.task);
    let found = walker.lookup(cx.task.fs().cwd(), &path, follow)?;
    if mask.contains(WatchMask::ONLY_DIRECTORY) && found.inode().kind() != FileKind::Directory {
        return Err(fail(errno::ENOTDIR, "not a directory"));
    }
    permission::check(walker.credentials(), &found, Access::READ)?;
    Ok(inotify.watch(&found.dentry, mask).because("the watch can't be made")?.into())
}

/// Handles `inotify_rm_watch(fd, wd)`.
pub(super) fn sys_inotify_rm_watch(cx: &mut SyscallCx<'_>, fd: Fd, watch: Int) -> SyscallResult {
    let file = cx.file(fd)?;
    instance(&file)?.remove(watch).because("no such watch")?;
    Ok(().into())
}
