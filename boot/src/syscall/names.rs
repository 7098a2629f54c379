//! Calls that make, remove and change names: `mkdir(2)`, `mknod(2)`, `symlink(2)`, `link(2)`, `unlink(2)`, `rmdir(2)`,
//! `rename(2)`, `readlink(2)`, and their variants.

use cloister_abi::stat::decode_device;

use super::{Address, Fd, Int, PathPtr, Text, UInt, paths};
use crate::error::{Outcome, SyscallResult, fail};
use crate::fs::{FileKind, Follow, NewInodeKind, NewName, RenameMode, Walker, names};
use crate::prelude::{SyscallCx, errno, uapi};
use crate::task::Capabilities;

/// Handles `mkdir(path, mode)`.
pub(super) fn sys_mkdir(cx: &mut SyscallCx<'_>, path: PathPtr, mode: UInt) -> SyscallResult {
    sys_mkdirat(cx, Fd::CWD, path, mode)
}

/// Handles `mkdirat(dirfd, path, mode)`.
pub(super) fn sys_mkdirat(cx: &mut SyscallCx<'_>, dir: Fd, path: PathPtr, mode: UInt) -> SyscallResult {
    // Set-id bits are not taken from the mode (`mkdir(2)`, "Notes").
    make(cx, dir, path, NewInodeKind::Directory, mode & 0o1777)
}

/// Handles `mknod(path, mode, dev)`.
pub(super) fn sys_mknod(cx: &mut SyscallCx<'_>, path: PathPtr, mode: UInt, dev: UInt) -> SyscallResult {
    sys_mknodat(cx, Fd::CWD, path, mode, dev)
}

/// Handles `mknodat(dirfd, path, mode, dev)`.
pub(super) fn sys_mknodat(
    cx: &mut SyscallCx<'_>,
    dir: Fd,
    path: PathPtr,
    mode: UInt,
    dev: UInt,
) -> SyscallResult {
    let (major, minor) = decode_device(dev);
    let kind = match mode & uapi::S_IFMT {
        0 | uapi::S_IFREG => NewInodeKind::Regular,
        uapi::S_IFCHR => NewInodeKind::CharDevice(major, minor),
        uapi::S_IFBLK => NewInodeKind::BlockDevice(major, minor),
        uapi::S_IFIFO => NewInodeKind::Fifo,
        uapi::S_IFSOCK => NewInodeKind::Socket,
        uapi::S_IFDIR => return Err(fail(errno::EPERM, "a directory is made by mkdir")),
        _ => return Err(fail(errno::EINVAL, "unknown kind in `mode`")),
    };
    let is_device = matches!(kind, NewInodeKind::CharDevice(..) | NewInodeKind::BlockDevice(..));
    if is_device && !cx.credentials().has(Capabilities::MKNOD) {
        return Err(fail(errno::EPERM, "needs CAP_MKNOD"));
    }
    make(cx, dir, path, kind, mode & 0o7777)
}

/// Handles `symlink(target, linkpath)`.
pub(super) fn sys_symlink(cx: &mut SyscallCx<'_>, target: Text, path: PathPtr) -> SyscallResult {
    sys_symlinkat(cx, target, Fd::CWD, path)
}

/// Handles `symlinkat(target, newdirfd, linkpath)`.
pub(super) fn sys_symlinkat(cx: &mut SyscallCx<'_>, target: Text, dir: Fd, path: PathPtr) -> SyscallResult {
    let target = cx.memory().read_path(PathPtr(target.0))?;
    if target.is_empty() {
        return Err(fail(errno::ENOENT, "`target` is empty"));
    }
    make(cx, dir, path, NewInodeKind::Symlink(target), 0o777)
}

fn make(cx: &SyscallCx<'_>, dir: Fd, path: PathPtr, kind: NewInodeKind, mode: u32) -> SyscallResult {
    paths::with_name(cx, dir, path, |walker, name| Ok(names::create(walker, name, kind, mode)?))?;
    Ok(Outcome::OK)
}

/// Handles `link(oldpath, newpath)`.
pub(super) fn sys_link(cx: &mut SyscallCx<'_>, old: PathPtr, new: PathPtr) -> SyscallResult {
    sys_linkat(cx, Fd::CWD, old, Fd::CWD, new, 0)
}

/// Handles `linkat(olddirfd, oldpath, newdirfd, newpath, flags)`.
pub(super) fn sys_linkat(
    cx: &mut SyscallCx<'_>,
    old_dir: Fd,
    old: PathPtr,
    new_dir: Fd,
    new: PathPtr,
    flags: UInt,
) -> SyscallResult {
    paths::check_flags(flags, uapi::AT_SYMLINK_FOLLOW | uapi::AT_EMPTY_PATH)?;
    if flags & uapi::AT_EMPTY_PATH != 0 && !cx.credentials().has(Capabilities::DAC_READ_SEARCH) {
        return Err(fail(errno::ENOENT, "AT_EMPTY_PATH needs CAP_DAC_READ_SEARCH"));
    }
    let follow = if flags & uapi::AT_SYMLINK_FOLLOW != 0 { 0 } else { uapi::AT_SYMLINK_NOFOLLOW };
    let target = paths::lookup(cx, old_dir, old, flags & uapi::AT_EMPTY_PATH | follow)?;
    paths::with_name(cx, new_dir, new, |walker, name| Ok(names::link(walker, &target, name)?))?;
    Ok(Outcome::OK)
}

/// Handles `unlink(path)`.
pub(super) fn sys_unlink(cx: &mut SyscallCx<'_>, path: PathPtr) -> SyscallResult {
    sys_unlinkat(cx, Fd::CWD, path, 0)
}

/// Handles `rmdir(path)`.
pub(super) fn sys_rmdir(cx: &mut SyscallCx<'_>, path: PathPtr) -> SyscallResult {
    sys_unlinkat(cx, Fd::CWD, path, uapi::AT_REMOVEDIR)
}

/// Handles `unlinkat(dirfd, path, flags)`.
pub(super) fn sys_unlinkat(cx: &mut SyscallCx<'_>, dir: Fd, path: PathPtr, flags: UInt) -> SyscallResult {
    paths::check_flags(flags, uapi::AT_REMOVEDIR)?;
    paths::with_name(cx, dir, path, |walker, NewName { directory, last }| {
        if flags & uapi::AT_REMOVEDIR != 0 {
            Ok(names::remove_directory(walker, directory, *last)?)
        } else {
            Ok(names::unlink(walker, directory, *last)?)
        }
    })?;
    Ok(Outcome::OK)
}

/// Handles `rename(oldpath, newpath)`.
pub(super) fn sys_rename(cx: &mut SyscallCx<'_>, old: PathPtr, new: PathPtr) -> SyscallResult {
    sys_renameat2(cx, Fd::CWD, old, Fd::CWD, new, 0)
}

/// Handles `renameat(olddirfd, oldpath, newdirfd, newpath)`.
pub(super) fn sys_renameat(
    cx: &mut SyscallCx<'_>,
    old_dir: Fd,
    old: PathPtr,
    new_dir: Fd,
    new: PathPtr,
) -> SyscallResult {
    sys_renameat2(cx, old_dir, old, new_dir, new, 0)
}

/// Handles `renameat2(olddirfd, oldpath, newdirfd, newpath, flags)`. `RENAME_WHITEOUT` is refused, as by file systems that
/// have no whiteouts.
pub(super) fn sys_renameat2(
    cx: &mut SyscallCx<'_>,
    old_dir: Fd,
    old: PathPtr,
    new_dir: Fd,
    new: PathPtr,
    flags: UInt,
) -> SyscallResult {
    let mode = match flags {
        0 => RenameMode::Replace,
        uapi::RENAME_NOREPLACE => RenameMode::NoReplace,
        uapi::RENAME_EXCHANGE => RenameMode::Exchange,
        _ => return Err(fail(errno::EINVAL, "unknown `flags`")),
    };
    let (old, new) = (cx.memory().read_path(old)?, cx.memory().read_path(new)?);
    let mut walker = Walker::new(cx.task);
    let (directory, last) = walker.walk_to_last(paths::base(cx, old_dir, &old)?, &old)?;
    let from = NewName { directory, last };
    let (directory, last) = walker.walk_to_last(paths::base(cx, new_dir, &new)?, &new)?;
    names::rename(&walker, &from, &NewName { directory, last }, mode)?;
    Ok(Outcome::OK)
}

/// Handles `readlink(path, buf, bufsiz)`.
pub(super) fn sys_readlink(cx: &mut SyscallCx<'_>, path: PathPtr, buf: Address, size: Int) -> SyscallResult {
    sys_readlinkat(cx, Fd::CWD, path, buf, size)
}

/// Handles `readlinkat(dirfd, path, buf, bufsiz)`. An empty path reads the link that `dirfd` refers to (`O_PATH`).
pub(super) fn sys_readlinkat(
    cx: &mut SyscallCx<'_>,
    dir: Fd,
    path: PathPtr,
    buf: Address,
    size: Int,
) -> SyscallResult {
    let size = usize::try_from(size).ok().filter(|size| *size > 0).ok_or(fail(errno::EINVAL, "no room"))?;
    let path = cx.memory().read_path(path)?;
    let base = paths::base(cx, dir, &path)?;
    let is_empty = path.is_empty();
    let link = if is_empty { base } else { Walker::new(cx.task).lookup(base, &path, Follow::No)? };
    if link.inode().kind() != FileKind::Symlink {
        return Err(fail(if is_empty { errno::ENOENT } else { errno::EINVAL }, "not a symbolic link"));
    }
    let target = link.inode().read_link(cx.task)?;
    let told = target.get(..size).unwrap_or(&target);
    cx.memory().write_bytes(buf, told)?;
    Ok(told.len().into())
}
