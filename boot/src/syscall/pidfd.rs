//! `pidfd_open(2)`, `pidfd_send_signal(2)`, `pidfd_getfd(2)`.

use super::signal_send::{read_info, send_to_process};
use super::{Address, Fd, Int, UInt};
use crate::fs::{OpenFlags, anon};
use crate::prelude::*;
use crate::signal::{Signal, SignalInfo};
use crate::task::{Capabilities, Credentials, PidFd, PidNamespace, ThreadGroup};

/// Handles `pidfd_open(pid, flags)`.
pub(super) fn sys_pidfd_open(cx: &mut SyscallCx<'_>, pid: Int, raw_flags: UInt) -> SyscallResult {
    let flags = OpenFlags::from_bits_retain(raw_flags);
    if !OpenFlags::NON_BLOCKING.contains(flags) || pid <= 0 {
        return Err(fail(errno::EINVAL, "unknown `flags`, or `pid` is not positive"));
    }
    let group = {
        let (tree, pid) = (cx.kernel().processes.lock(), cx.pid(pid));
        match tree.process(pid) {
            Some(process) => Arc::clone(&process.group),
            None if tree.task(pid).is_some() => {
                return Err(fail(errno::EINVAL, "a thread that leads no process"));
            }
            None => return Err(fail(errno::ESRCH, "no such process")),
        }
    };
    Ok(PidFd::install(cx, &group, flags)?.into())
}

/// Handles `pidfd_send_signal(pidfd, signal, info, flags)`.
pub(super) fn sys_pidfd_send_signal(
    cx: &mut SyscallCx<'_>,
    pidfd: Fd,
    raw_signal: Int,
    info: Address,
    flags: UInt,
) -> SyscallResult {
    if flags != 0 {
        return Err(fail(errno::EINVAL, "unknown `flags`"));
    }
    let file = cx.file(pidfd)?;
    let group = PidFd::group_of(&file)?;
    let info = if !info.is_null() {
        read_info(cx, group.tgid(), raw_signal, info)?
    } else if raw_signal == 0 {
        None
    } else {
        let signal = Signal::new(raw_signal).map_err(|errno| fail(errno, "no such signal"))?;
        Some(SignalInfo::user(signal, sender_for(cx, group), cx.credentials().uid))
    };
    send_to_process(cx, group, info)
}

/// Handles `pidfd_getfd(pidfd, fd, flags)`.
pub(super) fn sys_pidfd_getfd(cx: &mut SyscallCx<'_>, pidfd: Fd, fd: Fd, flags: UInt) -> SyscallResult {
    if flags != 0 {
        return Err(fail(errno::EINVAL, "unknown `flags`"));
    }
    let file = cx.file(pidfd)?;
    let task = any_task(cx, PidFd::group_of(&file)?).ok_or(fail(errno::ESRCH, "the process has ended"))?;
    if !may_look_into(&cx.credentials(), &task.credentials()) {
        return Err(fail(errno::EPERM, "the process has another user"));
    }
    let files = task.files().ok_or(fail(errno::ESRCH, "the process has ended"))?;
    let wanted = files.get(fd.0).ok_or(fail(errno::EBADF, "not open in the process"))?;
    Ok(anon::install(cx, wanted, OpenFlags::CLOSE_ON_EXEC)?.into())
}

/// Returns what `group` is told of the caller's process: its number, if both are in one PID namespace.
fn sender_for(cx: &SyscallCx<'_>, group: &ThreadGroup) -> i32 {
    PidNamespace::of(group.tgid()).number(cx.group().tgid())
}

fn any_task(cx: &SyscallCx<'_>, group: &Arc<ThreadGroup>) -> Option<Arc<Task>> {
    let tree = cx.kernel().processes.lock();
    let process = tree.process(group.tgid()).filter(|process| Arc::ptr_eq(&process.group, group))?;
    process.tasks.first().cloned()
}

/// Returns whether a task with the credentials `own` may look into one with `other` (`ptrace(2)`, "Ptrace access mode
/// checking", `PTRACE_MODE_ATTACH_REALCREDS`).
pub(super) fn may_look_into(own: &Credentials, other: &Credentials) -> bool {
    let is_same = [other.uid, other.euid, other.suid] == [own.uid; 3]
        && [other.gid, other.egid, other.sgid] == [own.gid; 3]
        && own.permitted.contains(other.permitted);
    is_same || own.has(Capabilities::SYS_PTRACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_into_others_needs_the_same_ids_and_no_less_capabilities() {
        let own = Credentials { uid: 1, euid: 1, suid: 1, ..Credentials::default() };
        let capable = Credentials { permitted: Capabilities::KILL, ..own.clone() };
        let set_uid = Credentials { euid: 0, ..own.clone() };
        let tracer = Credentials { effective: Capabilities::SYS_PTRACE, ..own.clone() };
        assert!(
            may_look_into(&own, &own) && may_look_into(&capable, &own) && may_look_into(&tracer, &set_uid)
        );
        assert!(!may_look_into(&own, &capable) && !may_look_into(&own, &set_uid));
    }
}
