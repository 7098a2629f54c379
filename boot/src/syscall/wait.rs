//! `wait4(2)`, `waitid(2)`.

use zerocopy::{Immutable, IntoBytes};

use super::rusage::Rusage;
use super::{Address, Fd, Int, UInt};
use crate::event::Events;
use crate::fs::OpenFlags;
use crate::prelude::*;
use crate::task::{ExitStatus, Pid, PidFd, WaitFor, WaitOptions, Waited, WaitedChange, find_child};

/// `siginfo_t` as `waitid` fills it.
#[derive(Clone, Copy, Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
struct WaitInfo {
    signal: i32,
    errno: i32,
    code: i32,
    padding: i32,
    pid: i32,
    uid: u32,
    status: i32,
}

/// `P_ALL`, `P_PID`, `P_PGID`, `P_PIDFD` of `waitid(2)`.
const P_ALL: i32 = 0;
const P_PID: i32 = 1;
const P_PGID: i32 = 2;
const P_PIDFD: i32 = 3;

/// Handles `wait4(pid, status, options, rusage)`.
pub(super) fn sys_wait4(
    cx: &mut SyscallCx<'_>,
    pid: Int,
    status: Address,
    raw_options: UInt,
    rusage: Address,
) -> SyscallResult {
    let allowed = WaitOptions::NO_HANG
        | WaitOptions::STOPPED
        | WaitOptions::CONTINUED
        | WaitOptions::NO_THREAD
        | WaitOptions::ALL
        | WaitOptions::CLONE;
    let options = options(raw_options, allowed)? | WaitOptions::EXITED;
    let wait_for = match pid {
        ..-1 => match pid.checked_neg() {
            Some(group) => WaitFor::ProcessGroup(cx.pid(group)),
            None => return Err(fail(errno::ESRCH, "no such process group")),
        },
        -1 => WaitFor::Any,
        0 => WaitFor::ProcessGroup(own_process_group(cx)),
        1.. => WaitFor::Process(cx.pid(pid)),
    };
    let Some(waited) = wait(cx, wait_for, options)? else { return Ok(0_u32.into()) };
    cx.memory().write_if(status, &wait_status(waited.change))?;
    cx.memory().write_if(rusage, &Rusage::from(waited.time))?;
    Ok(cx.number(waited.pid).into())
}

/// Handles `waitid(which, id, info, options, rusage)`.
pub(super) fn sys_waitid(
    cx: &mut SyscallCx<'_>,
    which: Int,
    id: Int,
    info: Address,
    raw_options: UInt,
    rusage: Address,
) -> SyscallResult {
    let options = options(raw_options, WaitOptions::all())?;
    if !options.intersects(WaitOptions::EXITED | WaitOptions::STOPPED | WaitOptions::CONTINUED) {
        return Err(fail(errno::EINVAL, "`options` name no change to wait for"));
    }
    let mut is_blocking = true;
    let wait_for = match which {
        P_ALL => WaitFor::Any,
        P_PID if id > 0 => WaitFor::Process(cx.pid(id)),
        P_PGID if id == 0 => WaitFor::ProcessGroup(own_process_group(cx)),
        P_PGID if id > 0 => WaitFor::ProcessGroup(cx.pid(id)),
        P_PIDFD if id >= 0 => {
            let file = cx.file(Fd(id))?;
            is_blocking = !file.flags().contains(OpenFlags::NON_BLOCKING);
            WaitFor::Process(PidFd::group_of(&file)?.tgid())
        }
        _ => return Err(fail(errno::EINVAL, "`which` and `id` name no children")),
    };
    let waited = if is_blocking {
        wait(cx, wait_for, options)?
    } else {
        let waited = wait(cx, wait_for, options | WaitOptions::NO_HANG)?;
        if waited.is_none() && !options.contains(WaitOptions::NO_HANG) {
            return Err(fail(errno::EAGAIN, "the pidfd is non-blocking"));
        }
        waited
    };
    cx.memory().write_if(info, &waited.map(|waited| info_of(cx, &waited)).unwrap_or_default())?;
    if let Some(waited) = &waited {
        cx.memory().write_if(rusage, &Rusage::from(waited.time))?;
    }
    Ok(Outcome::OK)
}

fn options(raw: UInt, allowed: WaitOptions) -> Result<WaitOptions, Fail> {
    WaitOptions::from_bits(raw)
        .filter(|options| allowed.contains(*options))
        .ok_or(fail(errno::EINVAL, "unknown `options`"))
}

fn own_process_group(cx: &SyscallCx<'_>) -> Pid {
    cx.kernel().processes.lock().process(cx.group().tgid()).map_or(0, |process| process.process_group)
}

/// Waits for a change; `None` if there is none and the caller does not want to wait.
fn wait(cx: &mut SyscallCx<'_>, wait_for: WaitFor, options: WaitOptions) -> Result<Option<Waited>, Fail> {
    let queue = cx.group().child_events.clone();
    cx.block_on(&queue, Events::IN, None, Restart::Sys, |cx| {
        let found = find_child(&mut cx.kernel().processes.lock(), cx.task, wait_for, options);
        match found {
            Ok(Some(waited)) => Ok(Some(waited)),
            Ok(None) if options.contains(WaitOptions::NO_HANG) => Ok(None),
            Ok(None) => Err(fail(errno::EAGAIN, "no child has changed")),
            Err(_) => Err(fail(errno::ECHILD, "no such child")),
        }
    })
}

fn wait_status(change: WaitedChange) -> u32 {
    match change {
        WaitedChange::Ended(status) => status.to_wait_status(),
        WaitedChange::Stopped(signal) => (u32::from(signal.number()) << 8) | 0x7f,
        WaitedChange::Continued => 0xffff,
    }
}

/// `CLD_*` of `sigaction(2)` and the status that goes with it.
fn info_of(cx: &SyscallCx<'_>, waited: &Waited) -> WaitInfo {
    let (code, status) = match waited.change {
        WaitedChange::Ended(ExitStatus::Exited(code)) => (1, i32::from(code)),
        WaitedChange::Ended(ExitStatus::Signaled { signal, core_dumped: false }) => (2, i32::from(signal)),
        WaitedChange::Ended(ExitStatus::Signaled { signal, core_dumped: true }) => (3, i32::from(signal)),
        WaitedChange::Stopped(signal) => (5, i32::from(signal.number())),
        WaitedChange::Continued => (6, 18),
    };
    WaitInfo { signal: 17, code, pid: cx.number(waited.pid), uid: waited.uid, status, ..WaitInfo::default() }
}
