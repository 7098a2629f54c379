//! `getrlimit(2)`, `setrlimit(2)`, `prlimit(2)`.

use super::{Address, Int, UInt};
use crate::mm::MemoryLimits;
use crate::prelude::*;
use crate::task::{Capabilities, Credentials, Resource, Rlimit};

/// `struct rlimit`: soft and hard.
type RawLimit = [u64; 2];

/// Handles `getrlimit(resource, limit)`.
pub(super) fn sys_getrlimit(cx: &mut SyscallCx<'_>, resource: UInt, limit: Address) -> SyscallResult {
    let now = cx.group().rlimits().get(Resource::new(resource)?);
    cx.memory().write::<RawLimit>(limit, &[now.soft, now.hard])?;
    Ok(Outcome::OK)
}

/// Handles `setrlimit(resource, limit)`.
pub(super) fn sys_setrlimit(cx: &mut SyscallCx<'_>, resource: UInt, limit: Address) -> SyscallResult {
    let [soft, hard] = cx.memory().read::<RawLimit>(limit)?;
    exchange(cx, cx.task, Resource::new(resource)?, Some(Rlimit { soft, hard }))?;
    Ok(Outcome::OK)
}

/// Handles `prlimit64(pid, resource, new, old)`.
pub(super) fn sys_prlimit64(
    cx: &mut SyscallCx<'_>,
    pid: Int,
    resource: UInt,
    new: Address,
    old: Address,
) -> SyscallResult {
    let resource = Resource::new(resource)?;
    let new = if new.is_null() {
        None
    } else {
        let [soft, hard] = cx.memory().read::<RawLimit>(new)?;
        Some(Rlimit { soft, hard })
    };
    let task = match pid {
        0 => Arc::clone(cx.task),
        pid => cx.kernel().processes.task(cx.pid(pid)).ok_or(fail(errno::ESRCH, "no such process"))?,
    };
    if !Arc::ptr_eq(&task, cx.task) && !is_allowed(&cx.credentials(), &task.credentials()) {
        return Err(fail(errno::EPERM, "the process has another user"));
    }
    let before = exchange(cx, &task, resource, new)?;
    cx.memory().write_if::<RawLimit>(old, &[before.soft, before.hard])?;
    Ok(Outcome::OK)
}

/// Returns the limit of `task`'s process, and changes it to `new`.
fn exchange(
    cx: &SyscallCx<'_>,
    task: &Arc<Task>,
    resource: Resource,
    new: Option<Rlimit>,
) -> Result<Rlimit, Fail> {
    let may_raise = cx.credentials().has(Capabilities::SYS_RESOURCE);
    let mut limits = task.group().rlimits_mut();
    let before = limits.get(resource);
    if let Some(new) = new {
        limits
            .change(resource, new, may_raise)
            .map_err(|errno| fail(errno, "the limit is inconsistent or above the hard one"))?;
        let now = *limits;
        drop(limits);
        if let Some(mm) = task.mm() {
            mm.set_limits(MemoryLimits::new(&now, &task.credentials()));
        }
        if resource == Resource::Cpu {
            task.group().timers.watch_cpu_limit(cx.kernel(), task.group());
        }
    }
    Ok(before)
}

/// Returns whether a task with the credentials `own` may look at and change the limits of one with `other`
/// (`prlimit(2)`, `EPERM`).
fn is_allowed(own: &Credentials, other: &Credentials) -> bool {
    let is_same = [other.uid, other.euid, other.suid] == [own.uid; 3]
        && [other.gid, other.egid, other.sgid] == [own.gid; 3];
    is_same || own.has(Capabilities::SYS_RESOURCE)
}
