//! `fcntl(2)`, `flock(2)`.

use super::record_lock::{self, Command};
use super::{Address, Fd, Int, UInt, ULong};
use crate::error::{Fail, Outcome, Restart, SyscallResult, fail};
use crate::event::Events;
use crate::fs::pipe::PipeEnd;
use crate::fs::{AsyncOwner, FdFlags, LockKind, OpenFile, OpenFlags, permission};
use crate::prelude::{Arc, SyscallCx, errno, uapi};

/// Handles `fcntl(fd, cmd, arg)`. Leases and directory notification are refused, as by file systems without them.
pub(super) fn sys_fcntl(cx: &mut SyscallCx<'_>, fd: Fd, command: UInt, arg: ULong) -> SyscallResult {
    let file = cx.any_file(fd)?;
    // The commands of descriptors, which a path has too (`open(2)`, O_PATH).
    match command {
        uapi::F_DUPFD => return duplicate(cx, file, arg, FdFlags::empty()),
        uapi::F_DUPFD_CLOEXEC => return duplicate(cx, file, arg, FdFlags::CLOSE_ON_EXEC),
        uapi::F_GETFD => {
            let flags = cx.files().flags(fd.0).ok_or(fail(errno::EBADF, "not open"))?;
            return Ok(u32::from(flags.bits()).into());
        }
        uapi::F_SETFD => {
            let flags = FdFlags::close_on_exec(arg & u64::from(uapi::FD_CLOEXEC) != 0);
            cx.files().set_flags(fd.0, flags)?;
            return Ok(Outcome::OK);
        }
        uapi::F_GETFL => return Ok(file.flags().bits().into()),
        F_DUPFD_QUERY => {
            let other = i32::try_from(arg).ok().and_then(|other| cx.files().get(other));
            return Ok(other.is_some_and(|other| Arc::ptr_eq(&other, &file)).into());
        }
        _ => {}
    }
    let file = cx.file(fd)?;
    match command {
        uapi::F_SETFL => set_status_flags(cx, &file, arg),
        uapi::F_GETLK => record_lock::test(cx, &file, Address(arg), Command::Process),
        uapi::F_SETLK => record_lock::set(cx, &file, Address(arg), Command::Process, false),
        uapi::F_SETLKW => record_lock::set(cx, &file, Address(arg), Command::Process, true),
        uapi::F_OFD_GETLK => record_lock::test(cx, &file, Address(arg), Command::File),
        uapi::F_OFD_SETLK => record_lock::set(cx, &file, Address(arg), Command::File, false),
        uapi::F_OFD_SETLKW => record_lock::set(cx, &file, Address(arg), Command::File, true),
        uapi::F_SETOWN
        | uapi::F_GETOWN
        | uapi::F_SETSIG
        | uapi::F_GETSIG
        | uapi::F_SETOWN_EX
        | uapi::F_GETOWN_EX => owner(cx, &file, command, arg),
        uapi::F_GETPIPE_SZ => Ok(pipe_of(&file)?.pipe().capacity().into()),
        uapi::F_SETPIPE_SZ => {
            let bytes = usize::try_from(int(arg)).map_err(|_| fail(errno::EINVAL, "negative size"))?;
            Ok(pipe_of(&file)?.pipe().set_capacity(bytes)?.into())
        }
        uapi::F_GET_SEALS => Ok(file.inode().seals()?.into()),
        uapi::F_ADD_SEALS => {
            if !file.flags().is_writable() {
                return Err(fail(errno::EPERM, "not open for writing"));
            }
            let seals = u32::try_from(arg).map_err(|_| fail(errno::EINVAL, "unknown seals"))?;
            file.inode().add_seals(seals)?;
            Ok(Outcome::OK)
        }
        uapi::F_GETLEASE => Ok(uapi::F_UNLCK.into()),
        uapi::F_SETLEASE if int(arg) == uapi::F_UNLCK.cast_signed() => {
            Err(fail(errno::EAGAIN, "there is no lease"))
        }
        _ => Err(fail(errno::EINVAL, "unknown or unsupported `cmd`")),
    }
}

/// `F_DUPFD_QUERY`: whether two descriptors refer to one open file description.
const F_DUPFD_QUERY: u32 = uapi::F_LINUX_SPECIFIC_BASE + 3;

/// Returns an argument that the call takes as an `int`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the call's prototype says that the upper bits are ignored"
)]
fn int(arg: u64) -> i32 {
    arg as i32
}

fn duplicate(cx: &SyscallCx<'_>, file: Arc<OpenFile>, least: u64, flags: FdFlags) -> SyscallResult {
    let (least, limit) = (int(least), cx.open_files_limit());
    if u64::try_from(least).map_or(true, |least| least >= limit) {
        return Err(fail(errno::EINVAL, "`arg` is not below RLIMIT_NOFILE"));
    }
    Ok(cx.files().add_from(least, file, flags, limit)?.into())
}

fn set_status_flags(cx: &SyscallCx<'_>, file: &Arc<OpenFile>, arg: u64) -> SyscallResult {
    let flags = OpenFlags::from_bits_truncate(int(arg).cast_unsigned());
    if flags.contains(OpenFlags::NO_ACCESS_TIME)
        && !file.flags().contains(OpenFlags::NO_ACCESS_TIME)
        && !permission::is_owner(&cx.credentials(), &file.inode().attributes()?)
    {
        return Err(fail(errno::EPERM, "O_NOATIME needs the owner"));
    }
    file.ops().check_status_flags(flags.bits())?;
    file.set_status_flags(flags);
    Ok(Outcome::OK)
}

fn pipe_of(file: &OpenFile) -> Result<&PipeEnd, Fail> {
    file.ops_as::<PipeEnd>().ok_or(fail(errno::EBADF, "not a pipe"))
}

/// Handles the commands about who is told that a file is ready.
fn owner(cx: &SyscallCx<'_>, file: &OpenFile, command: u32, arg: u64) -> SyscallResult {
    let mut owner = *file.owner.lock();
    match command {
        uapi::F_GETOWN => {
            return Ok(if owner.kind == uapi::F_OWNER_PGRP { -owner.id } else { owner.id }.into());
        }
        uapi::F_GETSIG => return Ok(owner.signal.into()),
        uapi::F_GETOWN_EX => {
            cx.memory().write(Address(arg), &[owner.kind.cast_signed(), owner.id])?;
            return Ok(Outcome::OK);
        }
        uapi::F_SETOWN => {
            let id = int(arg);
            let kind = if id < 0 { uapi::F_OWNER_PGRP } else { uapi::F_OWNER_PID };
            let id = id.checked_abs().ok_or(fail(errno::EINVAL, "no such process group"))?;
            owner = AsyncOwner { kind, id, ..owner };
        }
        uapi::F_SETOWN_EX => {
            let [kind, id]: [i32; 2] = cx.memory().read(Address(arg))?;
            let kind = kind.cast_unsigned();
            if !(uapi::F_OWNER_TID..=uapi::F_OWNER_PGRP).contains(&kind) {
                return Err(fail(errno::EINVAL, "unknown kind of owner"));
            }
            owner = AsyncOwner { kind, id, ..owner };
        }
        _ => {
            let signal = int(arg);
            if !(0..=64).contains(&signal) {
                return Err(fail(errno::EINVAL, "no such signal"));
            }
            owner.signal = signal;
        }
    }
    *file.owner.lock() = owner;
    Ok(Outcome::OK)
}

/// Handles `flock(fd, operation)`.
pub(super) fn sys_flock(cx: &mut SyscallCx<'_>, fd: Fd, operation: Int) -> SyscallResult {
    let file = cx.file(fd)?;
    let operation = operation.cast_unsigned();
    let locks = &file.inode().anchors().get_or_init().locks;
    let kind = match operation & !uapi::LOCK_NB {
        uapi::LOCK_SH => LockKind::Shared,
        uapi::LOCK_EX => LockKind::Exclusive,
        uapi::LOCK_UN => {
            locks.unset_whole(file.id());
            return Ok(Outcome::OK);
        }
        _ => return Err(fail(errno::EINVAL, "unknown `operation`")),
    };
    let attempt = |_: &mut SyscallCx<'_>| {
        locks.set_whole(file.id(), kind).map_err(|_| fail(errno::EWOULDBLOCK, "somebody else has a lock"))
    };
    if operation & uapi::LOCK_NB != 0 {
        attempt(cx)?;
    } else {
        cx.block_on(&locks.released, Events::ERR, None, Restart::Sys, attempt)?;
    }
    Ok(Outcome::OK)
}
