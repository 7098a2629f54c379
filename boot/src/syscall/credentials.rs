//! User and group ids: `getuid(2)`, `setuid(2)`, `setreuid(2)`, `setresuid(2)`, `setfsuid(2)` and those for groups;
//! `getgroups(2)`, `setgroups(2)`.

use super::{Address, Int, UInt};
use crate::prelude::*;
use crate::task::{Capabilities, Credentials};

/// The most supplementary groups (`NGROUPS_MAX`).
const NGROUPS_MAX: usize = 65_536;

/// Handles `getuid()`.
pub(super) fn sys_getuid(cx: &mut SyscallCx<'_>) -> SyscallResult {
    Ok(cx.credentials().uid.into())
}

/// Handles `geteuid()`.
pub(super) fn sys_geteuid(cx: &mut SyscallCx<'_>) -> SyscallResult {
    Ok(cx.credentials().euid.into())
}

/// Handles `getgid()`.
pub(super) fn sys_getgid(cx: &mut SyscallCx<'_>) -> SyscallResult {
    Ok(cx.credentials().gid.into())
}

/// Handles `getegid()`.
pub(super) fn sys_getegid(cx: &mut SyscallCx<'_>) -> SyscallResult {
    Ok(cx.credentials().egid.into())
}

/// Handles `getresuid(uid, euid, suid)`.
pub(super) fn sys_getresuid(
    cx: &mut SyscallCx<'_>,
    uid: Address,
    euid: Address,
    suid: Address,
) -> SyscallResult {
    let own = cx.credentials();
    write_ids(cx, [(uid, own.uid), (euid, own.euid), (suid, own.suid)])
}

/// Handles `getresgid(gid, egid, sgid)`.
pub(super) fn sys_getresgid(
    cx: &mut SyscallCx<'_>,
    gid: Address,
    egid: Address,
    sgid: Address,
) -> SyscallResult {
    let own = cx.credentials();
    write_ids(cx, [(gid, own.gid), (egid, own.egid), (sgid, own.sgid)])
}

fn write_ids(cx: &SyscallCx<'_>, ids: [(Address, u32); 3]) -> SyscallResult {
    for (at, id) in ids {
        cx.memory().write(at, &id)?;
    }
    Ok(Outcome::OK)
}

/// Gives the caller the credentials that a transition ends with.
fn adopt(cx: &SyscallCx<'_>, new: Result<Credentials, Errno>) -> SyscallResult {
    cx.set_credentials(new.map_err(|errno| fail(errno, "an id that the caller may not take"))?);
    Ok(Outcome::OK)
}

/// Handles `setuid(uid)`.
pub(super) fn sys_setuid(cx: &mut SyscallCx<'_>, uid: UInt) -> SyscallResult {
    adopt(cx, cx.credentials().setuid(uid))
}

/// Handles `setgid(gid)`.
pub(super) fn sys_setgid(cx: &mut SyscallCx<'_>, gid: UInt) -> SyscallResult {
    adopt(cx, cx.credentials().setgid(gid))
}

/// Handles `setreuid(uid, euid)`.
pub(super) fn sys_setreuid(cx: &mut SyscallCx<'_>, uid: UInt, euid: UInt) -> SyscallResult {
    adopt(cx, cx.credentials().setreuid(uid, euid))
}

/// Handles `setregid(gid, egid)`.
pub(super) fn sys_setregid(cx: &mut SyscallCx<'_>, gid: UInt, egid: UInt) -> SyscallResult {
    adopt(cx, cx.credentials().setregid(gid, egid))
}

/// Handles `setresuid(uid, euid, suid)`.
pub(super) fn sys_setresuid(cx: &mut SyscallCx<'_>, uid: UInt, euid: UInt, suid: UInt) -> SyscallResult {
    adopt(cx, cx.credentials().setresuid([uid, euid, suid]))
}

/// Handles `setresgid(gid, egid, sgid)`.
pub(super) fn sys_setresgid(cx: &mut SyscallCx<'_>, gid: UInt, egid: UInt, sgid: UInt) -> SyscallResult {
    adopt(cx, cx.credentials().setresgid([gid, egid, sgid]))
}

/// Handles `setfsuid(uid)`: returns the id before, and tells no error.
pub(super) fn sys_setfsuid(cx: &mut SyscallCx<'_>, uid: UInt) -> SyscallResult {
    let old = cx.credentials();
    cx.set_credentials(old.setfsuid(uid));
    Ok(old.fsuid.into())
}

/// Handles `setfsgid(gid)`: returns the id before, and tells no error.
pub(super) fn sys_setfsgid(cx: &mut SyscallCx<'_>, gid: UInt) -> SyscallResult {
    let old = cx.credentials();
    cx.set_credentials(old.setfsgid(gid));
    Ok(old.fsgid.into())
}

/// Handles `getgroups(size, list)`; size 0 asks for the number.
pub(super) fn sys_getgroups(cx: &mut SyscallCx<'_>, size: Int, list: Address) -> SyscallResult {
    let size = usize::try_from(size).map_err(|_| fail(errno::EINVAL, "`size` is negative"))?;
    let own = cx.credentials();
    if size > 0 {
        if size < own.groups.len() {
            return Err(fail(errno::EINVAL, "`size` is too small"));
        }
        let bytes: Vec<u8> = own.groups.iter().flat_map(|gid| gid.to_ne_bytes()).collect();
        cx.memory().write_bytes(list, &bytes)?;
    }
    Ok(own.groups.len().into())
}

/// Handles `setgroups(size, list)`.
pub(super) fn sys_setgroups(cx: &mut SyscallCx<'_>, size: Int, list: Address) -> SyscallResult {
    let own = cx.credentials();
    if !own.has(Capabilities::SETGID) {
        return Err(fail(errno::EPERM, "the caller lacks `CAP_SETGID`"));
    }
    let size = usize::try_from(size).ok().filter(|size| *size <= NGROUPS_MAX);
    let size = size.ok_or(fail(errno::EINVAL, "`size` is negative or too large"))?;
    let mut groups: Vec<u32> = cx.memory().read_array(list, size)?;
    groups.sort_unstable();
    cx.set_credentials(Credentials { groups, ..Credentials::clone(&own) });
    Ok(Outcome::OK)
}
