//! Calls that change attributes: `chmod(2)`, `chown(2)`, `utimensat(2)`, and their variants.

use cloister_abi::time::{Timespec, Timeval};

use super::{Address, Fd, PathPtr, UInt, paths};
use crate::error::{Fail, Outcome, SyscallResult, fail};
use crate::fs::{Change, Timestamp, attribute_rules};
use crate::prelude::{SyscallCx, errno, uapi};

/// Handles `chmod(path, mode)`.
pub(super) fn sys_chmod(cx: &mut SyscallCx<'_>, path: PathPtr, mode: UInt) -> SyscallResult {
    sys_fchmodat2(cx, Fd::CWD, path, mode, 0)
}

/// Handles `fchmod(fd, mode)`.
pub(super) fn sys_fchmod(cx: &mut SyscallCx<'_>, fd: Fd, mode: UInt) -> SyscallResult {
    let file = cx.file(fd)?;
    attribute_rules::change_mode(&cx.credentials(), file.path(), mode)?;
    Ok(Outcome::OK)
}

/// Handles `fchmodat(dirfd, path, mode)`.
pub(super) fn sys_fchmodat(cx: &mut SyscallCx<'_>, dir: Fd, path: PathPtr, mode: UInt) -> SyscallResult {
    sys_fchmodat2(cx, dir, path, mode, 0)
}

/// Handles `fchmodat2(dirfd, path, mode, flags)`.
pub(super) fn sys_fchmodat2(
    cx: &mut SyscallCx<'_>,
    dir: Fd,
    path: PathPtr,
    mode: UInt,
    flags: UInt,
) -> SyscallResult {
    paths::check_flags(flags, uapi::AT_SYMLINK_NOFOLLOW | uapi::AT_EMPTY_PATH)?;
    let found = paths::lookup(cx, dir, path, flags)?;
    attribute_rules::change_mode(&cx.credentials(), &found, mode)?;
    Ok(Outcome::OK)
}

/// Returns an id that is to be set; -1 leaves it as it is.
fn id(raw: u32) -> Option<u32> {
    (raw != u32::MAX).then_some(raw)
}

/// Handles `chown(path, owner, group)`.
pub(super) fn sys_chown(cx: &mut SyscallCx<'_>, path: PathPtr, owner: UInt, group: UInt) -> SyscallResult {
    sys_fchownat(cx, Fd::CWD, path, owner, group, 0)
}

/// Handles `lchown(path, owner, group)`.
pub(super) fn sys_lchown(cx: &mut SyscallCx<'_>, path: PathPtr, owner: UInt, group: UInt) -> SyscallResult {
    sys_fchownat(cx, Fd::CWD, path, owner, group, uapi::AT_SYMLINK_NOFOLLOW)
}

/// Handles `fchown(fd, owner, group)`.
pub(super) fn sys_fchown(cx: &mut SyscallCx<'_>, fd: Fd, owner: UInt, group: UInt) -> SyscallResult {
    let file = cx.file(fd)?;
    attribute_rules::change_owner(&cx.credentials(), file.path(), id(owner), id(group))?;
    Ok(Outcome::OK)
}

/// Handles `fchownat(dirfd, path, owner, group, flags)`.
pub(super) fn sys_fchownat(
    cx: &mut SyscallCx<'_>,
    dir: Fd,
    path: PathPtr,
    owner: UInt,
    group: UInt,
    flags: UInt,
) -> SyscallResult {
    paths::check_flags(flags, uapi::AT_SYMLINK_NOFOLLOW | uapi::AT_EMPTY_PATH)?;
    let found = paths::lookup(cx, dir, path, flags)?;
    attribute_rules::change_owner(&cx.credentials(), &found, id(owner), id(group))?;
    Ok(Outcome::OK)
}

/// The times to set: of the last access, and of the last change.
type Times = [Option<Change>; 2];

/// Both times are to be now: what a null pointer means.
const NOW: Times = [Some(Change::Now), Some(Change::Now)];

/// Handles `utime(path, times)`: whole seconds.
pub(super) fn sys_utime(cx: &mut SyscallCx<'_>, path: PathPtr, times: Address) -> SyscallResult {
    let times = if times.is_null() {
        NOW
    } else {
        let seconds: [i64; 2] = cx.memory().read(times)?;
        seconds.map(|seconds| Some(Change::To(Timestamp { seconds, nanoseconds: 0 })))
    };
    set_times(cx, Fd::CWD, path, times, 0)
}

/// Handles `utimes(path, times)`: microseconds.
pub(super) fn sys_utimes(cx: &mut SyscallCx<'_>, path: PathPtr, times: Address) -> SyscallResult {
    sys_futimesat(cx, Fd::CWD, path, times)
}

/// Handles `futimesat(dirfd, path, times)`. A null path is what `dirfd` refers to.
pub(super) fn sys_futimesat(cx: &mut SyscallCx<'_>, dir: Fd, path: PathPtr, times: Address) -> SyscallResult {
    let times = if times.is_null() { NOW } else { from_timevals(cx, times)? };
    set_times(cx, dir, path, times, 0)
}

fn from_timevals(cx: &SyscallCx<'_>, times: Address) -> Result<Times, Fail> {
    let read: Vec<Timeval> = cx.memory().read_array(times, 2)?;
    let convert = |time: Option<&Timeval>| {
        let time = time.copied().unwrap_or_default();
        let micros = u32::try_from(time.usec).ok().filter(|micros| *micros < 1_000_000);
        let micros = micros.ok_or(fail(errno::EINVAL, "microseconds are out of range"))?;
        Ok::<_, Fail>(Some(Change::To(Timestamp { seconds: time.sec, nanoseconds: micros * 1000 })))
    };
    Ok([convert(read.first())?, convert(read.get(1))?])
}

/// Handles `utimensat(dirfd, path, times, flags)`. A null path is what `dirfd` refers to.
pub(super) fn sys_utimensat(
    cx: &mut SyscallCx<'_>,
    dir: Fd,
    path: PathPtr,
    times: Address,
    flags: UInt,
) -> SyscallResult {
    let times = if times.is_null() { NOW } else { from_timespecs(cx, times)? };
    paths::check_flags(flags, uapi::AT_SYMLINK_NOFOLLOW | uapi::AT_EMPTY_PATH)?;
    set_times(cx, dir, path, times, flags)
}

fn from_timespecs(cx: &SyscallCx<'_>, times: Address) -> Result<Times, Fail> {
    let read: Vec<Timespec> = cx.memory().read_array(times, 2)?;
    let convert = |time: Option<&Timespec>| {
        let time = time.copied().unwrap_or_default();
        match u32::try_from(time.nsec) {
            Ok(uapi::UTIME_NOW) => Ok(Some(Change::Now)),
            Ok(uapi::UTIME_OMIT) => Ok(None),
            Ok(nanoseconds) if nanoseconds < 1_000_000_000 => {
                Ok(Some(Change::To(Timestamp { seconds: time.sec, nanoseconds })))
            }
            _ => Err(fail(errno::EINVAL, "nanoseconds are out of range")),
        }
    };
    Ok([convert(read.first())?, convert(read.get(1))?])
}

fn set_times(cx: &SyscallCx<'_>, dir: Fd, path: PathPtr, times: Times, flags: u32) -> SyscallResult {
    let [accessed, modified] = times;
    let found = if path.0.is_null() && dir != Fd::CWD {
        if flags & !uapi::AT_EMPTY_PATH != 0 {
            return Err(fail(errno::EINVAL, "`flags` without a path"));
        }
        cx.file(dir)?.path().clone()
    } else {
        paths::lookup(cx, dir, path, flags)?
    };
    attribute_rules::change_times(&cx.credentials(), &found, accessed, modified)?;
    Ok(Outcome::OK)
}
