//! Scheduling: `sched_yield(2)`, `sched_setaffinity(2)`, `sched_setscheduler(2)`, `sched_setattr(2)` and their like.
//!
//! The host schedules guest threads. Policies, priorities and affinities are checked and recorded, so that programs find
//! what they have set; they change nothing.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Address, Int, UInt};
use crate::prelude::*;
use crate::task::{Capabilities, CpuSet, Policy, Resource, Scheduling};
use crate::time;

const SCHED_RESET_ON_FORK: u32 = 0x4000_0000;
/// The time that a `SCHED_RR` task has before it is another one's turn.
const ROUND_ROBIN_INTERVAL: std::time::Duration = std::time::Duration::from_millis(100);

/// `struct sched_attr`, its first version.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// `SCHED_ATTR_SIZE_VER0`.
const SCHED_ATTR_SIZE: u32 = 48;
/// `SCHED_FLAG_RESET_ON_FORK`.
const FLAG_RESET_ON_FORK: u64 = 1;

/// Returns the thread `tid`; 0 is the caller.
fn thread(cx: &SyscallCx<'_>, tid: Int) -> Result<Arc<Task>, Fail> {
    match tid {
        ..0 => Err(fail(errno::EINVAL, "`pid` is negative")),
        0 => Ok(Arc::clone(cx.task)),
        tid => cx.kernel().processes.task(cx.pid(tid)).ok_or(fail(errno::ESRCH, "no such thread")),
    }
}

/// Checks that the caller may change how `task` is scheduled.
fn check_owner(cx: &SyscallCx<'_>, task: &Arc<Task>) -> Result<(), Fail> {
    let (own, other) = (cx.credentials(), task.credentials());
    if [other.uid, other.euid].contains(&own.euid) || own.has(Capabilities::SYS_NICE) {
        Ok(())
    } else {
        Err(fail(errno::EPERM, "the thread has another user"))
    }
}

/// Handles `sched_yield()`.
pub(super) fn sys_sched_yield(_cx: &mut SyscallCx<'_>) -> SyscallResult {
    // A system call is a yield already: whoever was woken runs before the caller does.
    Ok(Outcome::OK)
}

/// Handles `sched_getaffinity(pid, size, mask)`: returns how many bytes the mask has.
pub(super) fn sys_sched_getaffinity(
    cx: &mut SyscallCx<'_>,
    tid: Int,
    size: UInt,
    mask: Address,
) -> SyscallResult {
    let all = CpuSet::first(cx.kernel().options.cpus);
    let bytes = thread(cx, tid)?.attributes.lock().scheduling.affinity.clone().unwrap_or(all).to_bytes();
    let is_large_enough = usize::try_from(size).is_ok_and(|size| size >= bytes.len());
    if !size.is_multiple_of(8) || !is_large_enough {
        return Err(fail(errno::EINVAL, "`size` is too small or not a multiple of 8"));
    }
    cx.memory().write_bytes(mask, &bytes)?;
    Ok(bytes.len().into())
}

/// Handles `sched_setaffinity(pid, size, mask)`.
pub(super) fn sys_sched_setaffinity(
    cx: &mut SyscallCx<'_>,
    tid: Int,
    size: UInt,
    mask: Address,
) -> SyscallResult {
    let all = CpuSet::first(cx.kernel().options.cpus);
    let size = usize::try_from(size).unwrap_or(usize::MAX).min(all.to_bytes().len());
    let wanted = CpuSet::from_bytes(&cx.memory().read_array::<u8>(mask, size)?).and(&all);
    let task = thread(cx, tid)?;
    check_owner(cx, &task)?;
    if wanted.is_empty() {
        return Err(fail(errno::EINVAL, "no such processor"));
    }
    task.attributes.lock().scheduling.affinity = Some(wanted);
    Ok(Outcome::OK)
}

/// Changes the policy of a thread as `change` says, if the caller may.
fn set_scheduling(
    cx: &SyscallCx<'_>,
    tid: Int,
    change: impl FnOnce(&mut Scheduling) -> Result<(), Fail>,
) -> SyscallResult {
    let task = thread(cx, tid)?;
    let before = task.attributes.lock().scheduling.clone();
    let mut after = before.clone();
    change(&mut after)?;
    if !after.policy.priorities().contains(&after.priority) {
        return Err(fail(errno::EINVAL, "the policy has no such priority"));
    }
    check_owner(cx, &task)?;
    if !cx.credentials().has(Capabilities::SYS_NICE) {
        let limit = cx.rlimit(Resource::RealTimePriority);
        let raises = after.policy.is_real_time()
            && (!before.policy.is_real_time() || after.priority > before.priority)
            && u64::from(after.priority) > limit;
        if raises || (before.resets_on_fork && !after.resets_on_fork) || !may_be_nice(cx, &before, after.nice)
        {
            return Err(fail(errno::EPERM, "the caller lacks `CAP_SYS_NICE`"));
        }
    }
    task.attributes.lock().scheduling = after;
    Ok(Outcome::OK)
}

/// Returns whether a nice value is not lower than before, or `RLIMIT_NICE` allows it.
pub(super) fn may_be_nice(cx: &SyscallCx<'_>, before: &Scheduling, nice: i32) -> bool {
    let ceiling = u64::try_from(20 - nice).unwrap_or(0);
    nice >= before.nice || ceiling <= cx.rlimit(Resource::Nice)
}

fn policy(raw: u32) -> Result<Policy, Fail> {
    Policy::new(raw).ok_or(fail(errno::EINVAL, "unknown policy"))
}

/// Handles `sched_setscheduler(pid, policy, param)`.
pub(super) fn sys_sched_setscheduler(
    cx: &mut SyscallCx<'_>,
    tid: Int,
    raw_policy: Int,
    param: Address,
) -> SyscallResult {
    let raw_policy = u32::try_from(raw_policy).map_err(|_| fail(errno::EINVAL, "`policy` is negative"))?;
    let priority: u32 = cx.memory().read(param)?;
    set_scheduling(cx, tid, |scheduling| {
        scheduling.policy = policy(raw_policy & !SCHED_RESET_ON_FORK)?;
        scheduling.resets_on_fork = raw_policy & SCHED_RESET_ON_FORK != 0;
        scheduling.priority = priority;
        Ok(())
    })
}

/// Handles `sched_getscheduler(pid)`.
pub(super) fn sys_sched_getscheduler(cx: &mut SyscallCx<'_>, tid: Int) -> SyscallResult {
    let scheduling = thread(cx, tid)?.attributes.lock().scheduling.clone();
    let flag = if scheduling.resets_on_fork { SCHED_RESET_ON_FORK } else { 0 };
    Ok((scheduling.policy as u32 | flag).into())
}

/// Handles `sched_setparam(pid, param)`.
pub(super) fn sys_sched_setparam(cx: &mut SyscallCx<'_>, tid: Int, param: Address) -> SyscallResult {
    let priority: u32 = cx.memory().read(param)?;
    set_scheduling(cx, tid, |scheduling| {
        scheduling.priority = priority;
        Ok(())
    })
}

/// Handles `sched_getparam(pid, param)`.
pub(super) fn sys_sched_getparam(cx: &mut SyscallCx<'_>, tid: Int, param: Address) -> SyscallResult {
    let priority = thread(cx, tid)?.attributes.lock().scheduling.priority;
    cx.memory().write(param, &priority)?;
    Ok(Outcome::OK)
}

/// Handles `sched_get_priority_max(policy)`.
pub(super) fn sys_sched_get_priority_max(_cx: &mut SyscallCx<'_>, raw_policy: UInt) -> SyscallResult {
    Ok((*policy(raw_policy)?.priorities().end()).into())
}

/// Handles `sched_get_priority_min(policy)`.
pub(super) fn sys_sched_get_priority_min(_cx: &mut SyscallCx<'_>, raw_policy: UInt) -> SyscallResult {
    Ok((*policy(raw_policy)?.priorities().start()).into())
}

/// Handles `sched_rr_get_interval(pid, interval)`.
pub(super) fn sys_sched_rr_get_interval(
    cx: &mut SyscallCx<'_>,
    tid: Int,
    interval: Address,
) -> SyscallResult {
    let policy = thread(cx, tid)?.attributes.lock().scheduling.policy;
    let time = if policy == Policy::Fifo { std::time::Duration::ZERO } else { ROUND_ROBIN_INTERVAL };
    cx.memory().write(interval, &time::timespec(time))?;
    Ok(Outcome::OK)
}

/// Handles `sched_setattr(pid, attr, flags)`.
pub(super) fn sys_sched_setattr(
    cx: &mut SyscallCx<'_>,
    tid: Int,
    attr: Address,
    flags: UInt,
) -> SyscallResult {
    if attr.is_null() || flags != 0 {
        return Err(fail(errno::EINVAL, "no `attr`, or unknown `flags`"));
    }
    let size: u32 = cx.memory().read(attr)?;
    let size = if size == 0 { SCHED_ATTR_SIZE } else { size };
    if !(SCHED_ATTR_SIZE..=4096).contains(&size) {
        cx.memory().write(attr, &SCHED_ATTR_SIZE)?;
        return Err(fail(errno::E2BIG, "`size` is no size of `attr`"));
    }
    let new: SchedAttr = cx.memory().read(attr)?;
    if new.flags & !FLAG_RESET_ON_FORK != 0 {
        return Err(fail(errno::EINVAL, "unknown flags in `attr`"));
    }
    set_scheduling(cx, tid, |scheduling| {
        scheduling.policy = policy(new.policy)?;
        scheduling.resets_on_fork = new.flags & FLAG_RESET_ON_FORK != 0;
        scheduling.priority = new.priority;
        if !scheduling.policy.is_real_time() {
            scheduling.nice = new.nice.clamp(-20, 19);
        }
        Ok(())
    })
}

/// Handles `sched_getattr(pid, attr, size, flags)`.
pub(super) fn sys_sched_getattr(
    cx: &mut SyscallCx<'_>,
    tid: Int,
    attr: Address,
    size: UInt,
    flags: UInt,
) -> SyscallResult {
    if attr.is_null() || flags != 0 || !(SCHED_ATTR_SIZE..=4096).contains(&size) {
        return Err(fail(errno::EINVAL, "no `attr`, a bad `size`, or unknown `flags`"));
    }
    let scheduling = thread(cx, tid)?.attributes.lock().scheduling.clone();
    let value = SchedAttr {
        size: SCHED_ATTR_SIZE,
        policy: scheduling.policy as u32,
        flags: if scheduling.resets_on_fork { FLAG_RESET_ON_FORK } else { 0 },
        nice: scheduling.nice,
        priority: scheduling.priority,
        ..SchedAttr::default()
    };
    cx.memory().write(attr, &value)?;
    Ok(Outcome::OK)
}

/// Handles `getcpu(cpu, node)`: one processor is as good as another.
pub(super) fn sys_getcpu(cx: &mut SyscallCx<'_>, cpu: Address, node: Address) -> SyscallResult {
    let host = u32::try_from(rustix::thread::sched_getcpu()).unwrap_or(0);
    cx.memory().write_if(cpu, &(host % cx.kernel().options.cpus.max(1)))?;
    cx.memory().write_if(node, &0_u32)?;
    Ok(Outcome::OK)
}

/// Handles `ioprio_get(which, who)`.
pub(super) fn sys_ioprio_get(cx: &mut SyscallCx<'_>, which: Int, who: Int) -> SyscallResult {
    let task = io_thread(cx, which, who)?;
    let priority = task.attributes.lock().io_priority;
    Ok(u32::from(priority).into())
}

/// Handles `ioprio_set(which, who, priority)`.
pub(super) fn sys_ioprio_set(cx: &mut SyscallCx<'_>, which: Int, who: Int, priority: Int) -> SyscallResult {
    const CLASS_SHIFT: u32 = 13;
    let priority = u16::try_from(priority).map_err(|_| fail(errno::EINVAL, "no such priority"))?;
    match priority >> CLASS_SHIFT {
        1 if !cx.credentials().has(Capabilities::SYS_ADMIN) => {
            return Err(fail(errno::EPERM, "the real-time class needs `CAP_SYS_ADMIN`"));
        }
        0 if priority != 0 => return Err(fail(errno::EINVAL, "no class, but a level")),
        0..=3 => {}
        _ => return Err(fail(errno::EINVAL, "no such class")),
    }
    let task = io_thread(cx, which, who)?;
    check_owner(cx, &task)?;
    task.attributes.lock().io_priority = priority;
    Ok(Outcome::OK)
}

fn io_thread(cx: &SyscallCx<'_>, which: Int, who: Int) -> Result<Arc<Task>, Fail> {
    const IOPRIO_WHO_PROCESS: Int = 1;
    if which != IOPRIO_WHO_PROCESS {
        return Err(fail(errno::EINVAL, "only single threads are supported"));
    }
    thread(cx, who)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sched_attr_has_its_first_size() {
        assert_eq!(size_of::<SchedAttr>(), 48);
    }
}
