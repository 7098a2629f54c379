//! Sending signals: `kill(2)`, `tkill(2)`, `tgkill(2)`, `rt_sigqueueinfo(2)`, `rt_tgsigqueueinfo(2)`.

use cloister_abi::signal::SigInfo;

use super::{Address, Int};
use crate::prelude::*;
use crate::signal::{self, Origin, SI_TKILL, Signal, SignalInfo, Target};
use crate::task::{Pid, Process, ThreadGroup, Tree};

/// A signal to be sent; `None` for 0, by which a program asks whether it could send.
fn optional_signal(raw_signal: Int) -> Result<Option<Signal>, Fail> {
    match raw_signal {
        0 => Ok(None),
        raw => Ok(Some(Signal::new(raw).map_err(|errno| fail(errno, "no such signal"))?)),
    }
}

/// Sends `info`, if there is a signal, to a process or one of its tasks, if the caller may.
fn send(
    cx: &SyscallCx<'_>,
    tree: &Tree,
    process: &Process,
    target: Target<'_>,
    info: Option<SignalInfo>,
) -> Result<(), Fail> {
    signal::check_permission(tree, cx.task, process, info.map(|info| info.signal))?;
    match info {
        Some(info) => match signal::send(tree, process, target, info, Origin::Inside) {
            Ok(_) => Ok(()),
            Err(errno) => Err(fail(errno, "too many signals are queued")),
        },
        None => Ok(()),
    }
}

/// Returns the process that has `pid`, or one of whose threads does: as in Linux any thread stands for its process.
fn find_process(tree: &Tree, pid: Pid) -> Result<&Process, Fail> {
    let tgid = tree.task(pid).map_or(pid, |task| task.group().tgid());
    tree.process(tgid).ok_or(fail(errno::ESRCH, "no such process"))
}

/// Handles `kill(pid, signal)`.
pub(super) fn sys_kill(cx: &mut SyscallCx<'_>, pid: Int, raw_signal: Int) -> SyscallResult {
    let sender = cx.group().tgid();
    let uid = cx.credentials().uid;
    let info = optional_signal(raw_signal)?.map(|signal| SignalInfo::user(signal, cx.number(sender), uid));
    let kernel = Arc::clone(cx.kernel());
    let tree = kernel.processes.lock();
    match pid {
        1.. => send(cx, &tree, find_process(&tree, cx.pid(pid))?, Target::Group, info)?,
        -1 => {
            // All that the caller sees, but the first process of the container and itself.
            let others = |process: &&Process| {
                let pid = process.group.tgid();
                cx.number(pid) != 0 && pid != sender && !process.group.state().signals.is_init
            };
            match send_to_all(cx, &tree, tree.processes().filter(others), info) {
                Err(failure) if failure.is(errno::EPERM) => {}
                ended => ended?,
            }
        }
        Int::MIN => return Err(fail(errno::ESRCH, "no such process group")),
        _ => {
            let own = tree.process(sender).map_or(0, |process| process.process_group);
            let id = if pid == 0 { own } else { cx.pid(-pid) };
            let members = tree.processes().filter(|process| process.process_group == id);
            send_to_all(cx, &tree, members, info)?;
        }
    }
    Ok(Outcome::OK)
}

/// Sends to all of `processes`: it succeeds if it does for one.
fn send_to_all<'a>(
    cx: &SyscallCx<'_>,
    tree: &Tree,
    processes: impl Iterator<Item = &'a Process>,
    info: Option<SignalInfo>,
) -> Result<(), Fail> {
    let mut result = Err(fail(errno::ESRCH, "no such process"));
    for process in processes {
        let sent = send(cx, tree, process, Target::Group, info);
        if result.is_err() {
            result = sent;
        }
    }
    result
}

/// Sends to the task `tid`, of the group `tgid` if that is given.
fn send_to_thread(
    cx: &SyscallCx<'_>,
    tgid: Option<Pid>,
    tid: Pid,
    info: Option<SignalInfo>,
) -> SyscallResult {
    let tree = cx.kernel().processes.lock();
    let task = tree.task(tid).filter(|task| tgid.is_none_or(|tgid| task.group().tgid() == tgid));
    let task = task.ok_or(fail(errno::ESRCH, "no such thread"))?;
    let process = find_process(&tree, tid)?;
    send(cx, &tree, process, Target::Task(task), info)?;
    Ok(Outcome::OK)
}

/// Handles `tkill(tid, signal)`.
pub(super) fn sys_tkill(cx: &mut SyscallCx<'_>, tid: Int, raw_signal: Int) -> SyscallResult {
    if tid <= 0 {
        return Err(fail(errno::EINVAL, "`tid` is not positive"));
    }
    let info = thread_info(cx, raw_signal)?;
    send_to_thread(cx, None, cx.pid(tid), info)
}

/// Handles `tgkill(tgid, tid, signal)`.
pub(super) fn sys_tgkill(cx: &mut SyscallCx<'_>, tgid: Int, tid: Int, raw_signal: Int) -> SyscallResult {
    if tid <= 0 || tgid <= 0 {
        return Err(fail(errno::EINVAL, "an id is not positive"));
    }
    let info = thread_info(cx, raw_signal)?;
    send_to_thread(cx, Some(cx.pid(tgid)), cx.pid(tid), info)
}

fn thread_info(cx: &SyscallCx<'_>, raw_signal: Int) -> Result<Option<SignalInfo>, Fail> {
    let (pid, uid) = (cx.number(cx.group().tgid()), cx.credentials().uid);
    Ok(optional_signal(raw_signal)?.map(|signal| SignalInfo::thread(signal, pid, uid)))
}

/// Reads the information that the caller made up for a signal to the process `tgid`.
pub(super) fn read_info(
    cx: &SyscallCx<'_>,
    tgid: Pid,
    raw_signal: Int,
    info: Address,
) -> Result<Option<SignalInfo>, Fail> {
    let raw: SigInfo = cx.memory().read(info)?;
    if (raw.code >= 0 || raw.code == SI_TKILL) && tgid != cx.group().tgid() {
        return Err(fail(errno::EPERM, "`si_code` is the kernel's"));
    }
    Ok(optional_signal(raw_signal)?.map(|signal| SignalInfo::from_raw(signal, &raw)))
}

/// Sends to a process that is known by a descriptor, if it has not ended and been waited for.
pub(super) fn send_to_process(
    cx: &SyscallCx<'_>,
    group: &Arc<ThreadGroup>,
    info: Option<SignalInfo>,
) -> SyscallResult {
    let tree = cx.kernel().processes.lock();
    // The number may be another process' by now.
    let process = tree.process(group.tgid()).filter(|process| Arc::ptr_eq(&process.group, group));
    send(cx, &tree, process.ok_or(fail(errno::ESRCH, "the process has ended"))?, Target::Group, info)?;
    Ok(Outcome::OK)
}

/// Handles `rt_sigqueueinfo(tgid, signal, info)`.
pub(super) fn sys_rt_sigqueueinfo(
    cx: &mut SyscallCx<'_>,
    tgid: Int,
    raw_signal: Int,
    info: Address,
) -> SyscallResult {
    let info = read_info(cx, cx.pid(tgid), raw_signal, info)?;
    let kernel = Arc::clone(cx.kernel());
    let tree = kernel.processes.lock();
    send(cx, &tree, find_process(&tree, cx.pid(tgid))?, Target::Group, info)?;
    Ok(Outcome::OK)
}

/// Handles `rt_tgsigqueueinfo(tgid, tid, signal, info)`.
pub(super) fn sys_rt_tgsigqueueinfo(
    cx: &mut SyscallCx<'_>,
    tgid: Int,
    tid: Int,
    raw_signal: Int,
    info: Address,
) -> SyscallResult {
    if tid <= 0 || tgid <= 0 {
        return Err(fail(errno::EINVAL, "an id is not positive"));
    }
    let info = read_info(cx, cx.pid(tgid), raw_signal, info)?;
    send_to_thread(cx, Some(cx.pid(tgid)), cx.pid(tid), info)
}
