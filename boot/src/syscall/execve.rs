//! `execve(2)`, `execveat(2)`.

use super::{Address, Fd, PathPtr, UInt};
use crate::fs::{FdFlags, Follow};
use crate::loader::{Place, Program};
use crate::prelude::*;
use crate::task;

/// Handles `execve(pathname, argv, envp)`.
pub(super) fn sys_execve(
    cx: &mut SyscallCx<'_>,
    path: PathPtr,
    arguments: Address,
    environment: Address,
) -> SyscallResult {
    sys_execveat(cx, Fd::CWD, path, arguments, environment, 0)
}

/// Handles `execveat(dirfd, pathname, argv, envp, flags)`.
pub(super) fn sys_execveat(
    cx: &mut SyscallCx<'_>,
    directory: Fd,
    path: PathPtr,
    arguments: Address,
    environment: Address,
    flags: UInt,
) -> SyscallResult {
    if flags & !(uapi::AT_EMPTY_PATH | uapi::AT_SYMLINK_NOFOLLOW) != 0 {
        return Err(fail(errno::EINVAL, "a flag is not known"));
    }
    let path = cx.memory().read_path(path)?;
    let program = program(cx, directory, path, flags)?;
    task::execute(cx, program, arguments, environment)
}

/// Returns what is to be executed.
fn program(cx: &SyscallCx<'_>, directory: Fd, path: Vec<u8>, flags: u32) -> Result<Program, Fail> {
    let follow = if flags & uapi::AT_SYMLINK_NOFOLLOW == 0 { Follow::Yes } else { Follow::No };
    let is_empty = path.is_empty() && flags & uapi::AT_EMPTY_PATH != 0;
    if directory == Fd::CWD || path.starts_with(b"/") {
        let base = cx.task.fs().cwd();
        let shown = path.clone();
        let place = if is_empty { Place::Found(base) } else { Place::Named { base, path, follow } };
        return Ok(Program { place, path: shown, path_vanishes: false });
    }
    let base = cx.any_file(directory)?.path().clone();
    let flags = cx.files().flags(directory.0).unwrap_or_default();
    let path_vanishes = flags.contains(FdFlags::CLOSE_ON_EXEC);
    // As in Linux, which knows no name of a descriptor either.
    let mut shown = format!("/dev/fd/{}", directory.0).into_bytes();
    if is_empty {
        return Ok(Program { place: Place::Found(base), path: shown, path_vanishes });
    }
    shown.push(b'/');
    shown.extend_from_slice(&path);
    Ok(Program { place: Place::Named { base, path, follow }, path: shown, path_vanishes })
}
