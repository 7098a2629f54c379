//! The record locks of `fcntl(2)`: those of processes, and those of open file descriptions.

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::Address;
use crate::error::{Fail, Outcome, Restart, SyscallResult, fail};
use crate::event::Events;
use crate::fs::{LockKind, LockOwner, OpenFile, RecordLock};
use crate::prelude::{SyscallCx, errno, uapi};

/// Whose lock a command is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// The process'.
    Process,
    /// The open file description's.
    File,
}

/// `struct flock`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Flock {
    kind: i16,
    whence: i16,
    pad: u32,
    start: i64,
    len: i64,
    pid: i32,
    pad2: u32,
}

/// What a caller asks for.
struct Request {
    /// `None`: to unlock.
    kind: Option<LockKind>,
    lock: RecordLock,
    raw: Flock,
}

/// A lock that reaches to the end of the file, wherever it is.
const TO_THE_END: u64 = i64::MAX.unsigned_abs();

fn read(cx: &SyscallCx<'_>, file: &OpenFile, address: Address, command: Command) -> Result<Request, Fail> {
    let raw: Flock = cx.memory().read(address)?;
    let invalid = fail(errno::EINVAL, "the lock is invalid");
    let kind = match u32::try_from(raw.kind) {
        Ok(uapi::F_RDLCK) => Some(LockKind::Shared),
        Ok(uapi::F_WRLCK) => Some(LockKind::Exclusive),
        Ok(uapi::F_UNLCK) => None,
        _ => return Err(invalid),
    };
    if command == Command::File && raw.pid != 0 {
        return Err(fail(errno::EINVAL, "`l_pid` must be zero"));
    }
    let base = match u32::try_from(raw.whence) {
        Ok(uapi::SEEK_SET) => 0,
        Ok(uapi::SEEK_CUR) => *file.position(),
        Ok(uapi::SEEK_END) => file.size()?,
        _ => return Err(invalid),
    };
    let overflow = fail(errno::EOVERFLOW, "the lock reaches too far");
    let base = i64::try_from(base).map_err(|_| fail(errno::EOVERFLOW, "the file is too large"))?;
    let start = base.checked_add(raw.start).ok_or(overflow)?;
    // A negative length is that of a range before the start (`fcntl(2)`).
    let (first, end) = match raw.len {
        0 => (start, None),
        len if len > 0 => {
            (start, Some(start.checked_add(len - 1).ok_or(fail(errno::EOVERFLOW, "too long"))?))
        }
        len => (start.checked_add(len).ok_or(fail(errno::EINVAL, "too long"))?, Some(start - 1)),
    };
    let first = u64::try_from(first).map_err(|_| fail(errno::EINVAL, "the lock begins before the file"))?;
    let last = match end {
        Some(end) => u64::try_from(end).map_err(|_| fail(errno::EINVAL, "the lock ends before the file"))?,
        None => TO_THE_END,
    };
    let (owner, pid) = match command {
        Command::Process => (LockOwner::Process(cx.files().id()), cx.group().tgid()),
        Command::File => (LockOwner::File(file.id()), -1),
    };
    let lock = RecordLock { owner, pid, kind: kind.unwrap_or(LockKind::Shared), first, last };
    Ok(Request { kind, lock, raw })
}

/// Tells which lock stands against the one that is asked for (`F_GETLK`, `F_OFD_GETLK`).
///
/// # Errors
///
/// As `fcntl(2)`.
pub(super) fn test(cx: &SyscallCx<'_>, file: &OpenFile, address: Address, command: Command) -> SyscallResult {
    let request = read(cx, file, address, command)?;
    if request.kind.is_none() {
        return Err(fail(errno::EINVAL, "only a lock can be tested"));
    }
    let conflict = file.inode().anchors().get().and_then(|anchors| anchors.locks.conflict(&request.lock));
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let number = |value: u32| i16::try_from(value).unwrap_or(0);
    let told = match conflict {
        None => Flock { kind: number(uapi::F_UNLCK), ..request.raw },
        Some(lock) => Flock {
            kind: number(if lock.kind == LockKind::Shared { uapi::F_RDLCK } else { uapi::F_WRLCK }),
            whence: 0,
            start: signed(lock.first),
            len: if lock.last == TO_THE_END { 0 } else { signed(lock.last - lock.first + 1) },
            pid: if lock.pid < 0 { lock.pid } else { cx.number(lock.pid) },
            ..request.raw
        },
    };
    cx.memory().write(address, &told)?;
    Ok(Outcome::OK)
}

/// Takes or gives up a lock (`F_SETLK`, `F_SETLKW` and those of open file descriptions).
///
/// # Errors
///
/// `EAGAIN` if another stands against it and `waits` is not set, `EDEADLK` if a wait would never end; as `fcntl(2)`.
pub(super) fn set(
    cx: &mut SyscallCx<'_>,
    file: &OpenFile,
    address: Address,
    command: Command,
    waits: bool,
) -> SyscallResult {
    let Request { kind, lock, .. } = read(cx, file, address, command)?;
    match kind {
        Some(LockKind::Shared) => file.check_readable()?,
        Some(LockKind::Exclusive) => file.check_writable()?,
        None => {}
    }
    let locks = &file.inode().anchors().get_or_init().locks;
    if kind.is_none() {
        locks.unset(&lock);
        return Ok(Outcome::OK);
    }
    let kernel = std::sync::Arc::clone(cx.kernel());
    let (lock_waits, tid) = (&kernel.vfs.lock_waits, cx.task.tid());
    lock_waits.end(lock.owner, tid);
    let mut holder = None;
    let attempt = |_: &mut SyscallCx<'_>| {
        locks.set(lock).map_err(|other| {
            holder = Some(other.owner);
            fail(errno::EAGAIN, "somebody else has a lock")
        })
    };
    if !waits {
        let mut attempt = attempt;
        attempt(cx)?;
        return Ok(Outcome::OK);
    }
    let result = cx.block_on(&locks.released, Events::ERR, None, Restart::Sys, attempt);
    if let (Err(Fail::Park(_)), Some(holder), Command::Process) = (&result, holder, command)
        && !lock_waits.begin(lock.owner, tid, holder)
    {
        return Err(fail(errno::EDEADLK, "the holder waits for the caller"));
    }
    result?;
    Ok(Outcome::OK)
}
