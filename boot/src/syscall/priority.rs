//! `getpriority(2)`, `setpriority(2)`.

use super::schedule::may_be_nice;
use super::{Int, UInt};
use crate::prelude::*;
use crate::task::Capabilities;

const PRIO_PROCESS: UInt = 0;
const PRIO_PGRP: UInt = 1;
const PRIO_USER: UInt = 2;

/// Returns the threads that `which` and `who` name.
fn threads(cx: &SyscallCx<'_>, which: UInt, who: Int) -> Result<Vec<Arc<Task>>, Fail> {
    let tree = cx.kernel().processes.lock();
    let tasks: Vec<_> = match which {
        PRIO_PROCESS if who == 0 => vec![Arc::clone(cx.task)],
        PRIO_PROCESS => tree.task(cx.pid(who)).into_iter().cloned().collect(),
        PRIO_PGRP => {
            let own = || tree.process(cx.group().tgid()).map_or(0, |process| process.process_group);
            let group = if who == 0 { own() } else { cx.pid(who) };
            let members = tree.processes().filter(|process| process.process_group == group);
            members.flat_map(|process| process.tasks.iter().cloned()).collect()
        }
        PRIO_USER => {
            let uid = if who == 0 { cx.credentials().uid } else { who.cast_unsigned() };
            tree.tasks_of(cx.group().tasks()).filter(|task| task.credentials().uid == uid).cloned().collect()
        }
        _ => return Err(fail(errno::EINVAL, "unknown `which`")),
    };
    if tasks.is_empty() { Err(fail(errno::ESRCH, "no such process")) } else { Ok(tasks) }
}

/// Handles `getpriority(which, who)`: returns 20 minus the lowest nice value, so that it is never negative.
pub(super) fn sys_getpriority(cx: &mut SyscallCx<'_>, which: UInt, who: Int) -> SyscallResult {
    let tasks = threads(cx, which, who)?;
    let nice = tasks.iter().map(|task| task.attributes.lock().scheduling.nice).min().unwrap_or(0);
    Ok((20 - nice).into())
}

/// Handles `setpriority(which, who, nice)`.
pub(super) fn sys_setpriority(cx: &mut SyscallCx<'_>, which: UInt, who: Int, nice: Int) -> SyscallResult {
    let nice = nice.clamp(-20, 19);
    let own = cx.credentials();
    let is_privileged = own.has(Capabilities::SYS_NICE);
    let mut result = Ok(Outcome::OK);
    for task in threads(cx, which, who)? {
        let other = task.credentials();
        if !is_privileged && ![other.uid, other.euid].contains(&own.euid) {
            result = Err(fail(errno::EPERM, "the process has another user"));
            continue;
        }
        let before = task.attributes.lock().scheduling.clone();
        if !is_privileged && !may_be_nice(cx, &before, nice) {
            result = Err(fail(errno::EACCES, "the caller lacks `CAP_SYS_NICE`"));
            continue;
        }
        task.attributes.lock().scheduling.nice = nice;
    }
    result
}
