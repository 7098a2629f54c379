//! The ids of processes and threads: `getpid(2)`, `gettid(2)`, `getppid(2)`, `set_tid_address(2)`; process groups and
//! sessions: `setpgid(2)`, `getpgid(2)`, `getpgrp(2)`, `setsid(2)`, `getsid(2)`.

use super::{Address, Int};
use crate::prelude::*;
use crate::task::{Process, Tree};

/// Handles `getpid()`.
pub(super) fn sys_getpid(cx: &mut SyscallCx<'_>) -> SyscallResult {
    Ok(cx.number(cx.group().tgid()).into())
}

/// Handles `gettid()`.
pub(super) fn sys_gettid(cx: &mut SyscallCx<'_>) -> SyscallResult {
    Ok(cx.number(cx.task.tid()).into())
}

/// Handles `getppid()`.
pub(super) fn sys_getppid(cx: &mut SyscallCx<'_>) -> SyscallResult {
    let parent = cx.kernel().processes.lock().process(cx.group().tgid()).map_or(0, |process| process.parent);
    Ok(cx.number(parent).into())
}

/// Handles `set_tid_address(address)`.
pub(super) fn sys_set_tid_address(cx: &mut SyscallCx<'_>, address: Address) -> SyscallResult {
    cx.run.clear_child_tid = address.0;
    Ok(cx.number(cx.task.tid()).into())
}

/// Returns the process that the thread with the number `pid` is of; 0 is the caller.
fn process_of<'a>(cx: &SyscallCx<'_>, tree: &'a Tree, pid: Int) -> Result<&'a Process, Fail> {
    let tgid = match pid {
        0 => cx.group().tgid(),
        number => {
            let pid = cx.pid(number);
            tree.task(pid).map_or(pid, |task| task.group().tgid())
        }
    };
    tree.process(tgid).ok_or(fail(errno::ESRCH, "no such process"))
}

/// Handles `getpgid(pid)`.
pub(super) fn sys_getpgid(cx: &mut SyscallCx<'_>, pid: Int) -> SyscallResult {
    let tree = cx.kernel().processes.lock();
    Ok(cx.number(process_of(cx, &tree, pid)?.process_group).into())
}

/// Handles `getpgrp()`.
pub(super) fn sys_getpgrp(cx: &mut SyscallCx<'_>) -> SyscallResult {
    sys_getpgid(cx, 0)
}

/// Handles `getsid(pid)`.
pub(super) fn sys_getsid(cx: &mut SyscallCx<'_>, pid: Int) -> SyscallResult {
    let tree = cx.kernel().processes.lock();
    Ok(cx.number(process_of(cx, &tree, pid)?.session).into())
}

/// Handles `setpgid(pid, process_group)`.
pub(super) fn sys_setpgid(cx: &mut SyscallCx<'_>, pid: Int, process_group: Int) -> SyscallResult {
    let own = cx.group().tgid();
    if process_group < 0 {
        return Err(fail(errno::EINVAL, "the process group is negative"));
    }
    let pid = if pid == 0 { own } else { cx.pid(pid) };
    let process_group = if process_group == 0 { pid } else { cx.pid(process_group) };
    let mut tree = cx.kernel().processes.lock();
    let session = tree.process(own).map(|process| process.session);
    let Some(process) = tree.process(pid) else {
        let is_thread = tree.task(pid).is_some();
        let errno = if is_thread { errno::EINVAL } else { errno::ESRCH };
        return Err(fail(errno, "`pid` is no process"));
    };
    if process.parent == own {
        if Some(process.session) != session {
            return Err(fail(errno::EPERM, "the child is in another session"));
        }
        if process.has_executed {
            return Err(fail(errno::EACCES, "the child has executed a program"));
        }
    } else if pid != own {
        return Err(fail(errno::ESRCH, "neither the caller nor a child"));
    }
    if process.session == pid {
        return Err(fail(errno::EPERM, "a session leader stays in its group"));
    }
    let is_member =
        |process: &Process| process.process_group == process_group && Some(process.session) == session;
    if process_group != pid && !tree.processes().any(is_member) {
        return Err(fail(errno::EPERM, "no such process group in the session"));
    }
    if let Some(process) = tree.process_mut(pid) {
        process.process_group = process_group;
    }
    Ok(Outcome::OK)
}

/// Handles `setsid()`.
pub(super) fn sys_setsid(cx: &mut SyscallCx<'_>) -> SyscallResult {
    let own = cx.group().tgid();
    let mut tree = cx.kernel().processes.lock();
    if tree.processes().any(|process| process.process_group == own) {
        return Err(fail(errno::EPERM, "the caller leads a process group"));
    }
    if let Some(process) = tree.process_mut(own) {
        process.session = own;
        process.process_group = own;
    }
    Ok(cx.number(own).into())
}
