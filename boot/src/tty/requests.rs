//! The requests of `ioctl(2)` that are the same for all terminals.

use cloister_abi::ioctl;

use super::Terminal;
use super::job_control::{check_change, give_up};
use crate::fs::OpenFile;
use crate::prelude::*;
use crate::syscall::Address;
use crate::task::{Capabilities, Pid};

/// By which end of a terminal a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// That of programs: requests are for the controlling terminal of the caller.
    Programs,
    /// The master of a pseudo-terminal, which can ask about a terminal that does not control its own session.
    Master,
}

/// The failure of requests that are for the controlling terminal of the caller's session.
const NOT_CONTROLLING: Fail = fail(errno::ENOTTY, "not the controlling terminal");

/// Carries out a request about sessions and process groups (`ioctl_tty(2)`), or one that any terminal answers; `None` if
/// `request` is not one of these.
pub(crate) fn common(
    cx: &mut SyscallCx<'_>,
    file: &OpenFile,
    (terminal, end): (&Arc<dyn Terminal>, End),
    request: u32,
    arg: Address,
) -> Option<SyscallResult> {
    Some(match request {
        ioctl::TIOCGPGRP => get_foreground(cx, terminal, end, arg),
        ioctl::TIOCSPGRP => set_foreground(cx, terminal, arg),
        ioctl::TIOCGSID => get_session(cx, terminal, end, arg),
        ioctl::TIOCSCTTY => become_controlling(cx, file, terminal, arg),
        ioctl::TIOCNOTTY => leave(cx, terminal, end),
        ioctl::TIOCSTI => Err(fail(errno::EIO, "nobody may type for others")),
        ioctl::TIOCGETD => cx.memory().write(arg, &0_i32).map(Into::into),
        ioctl::TIOCSETD => match cx.memory().read::<i32>(arg) {
            Ok(0) => Ok(Outcome::OK),
            Ok(_) => Err(fail(errno::EINVAL, "there is only one line discipline")),
            Err(failure) => Err(failure),
        },
        _ => return None,
    })
}

/// Returns the session and the process group of a task.
fn place_of(task: &Task) -> (Pid, Pid) {
    let tree = task.kernel().processes.lock();
    tree.process(task.group().tgid()).map_or((0, 0), |process| (process.session, process.process_group))
}

/// Returns the session that `terminal` controls, if the caller may ask.
fn session_for(cx: &SyscallCx<'_>, terminal: &Arc<dyn Terminal>, end: End) -> Result<Option<Pid>, Fail> {
    let (own, _) = place_of(cx.task);
    let session = cx.kernel().processes.lock().sessions().session_of(terminal);
    match end {
        End::Programs if session != Some(own) => Err(NOT_CONTROLLING),
        End::Programs | End::Master => Ok(session),
    }
}

fn get_foreground(cx: &SyscallCx<'_>, terminal: &Arc<dyn Terminal>, end: End, arg: Address) -> SyscallResult {
    let session = session_for(cx, terminal, end)?;
    let foreground =
        session.and_then(|session| cx.kernel().processes.lock().sessions().foreground(session)).unwrap_or(0);
    cx.memory().write(arg, &cx.number(foreground))?;
    Ok(Outcome::OK)
}

fn get_session(cx: &SyscallCx<'_>, terminal: &Arc<dyn Terminal>, end: End, arg: Address) -> SyscallResult {
    let session = session_for(cx, terminal, end)?.ok_or(NOT_CONTROLLING)?;
    cx.memory().write(arg, &cx.number(session))?;
    Ok(Outcome::OK)
}

fn set_foreground(cx: &SyscallCx<'_>, terminal: &Arc<dyn Terminal>, arg: Address) -> SyscallResult {
    match check_change(cx, terminal) {
        Err(failure) if failure.is(errno::EIO) => return Err(NOT_CONTROLLING),
        result => result?,
    }
    let wanted: i32 = cx.memory().read(arg)?;
    if wanted < 0 {
        return Err(fail(errno::EINVAL, "not a process group"));
    }
    let wanted = cx.pid(wanted);
    let (own, _) = place_of(cx.task);
    let mut tree = cx.kernel().processes.lock();
    if !tree.sessions().is_controlled_by(own, terminal) {
        return Err(NOT_CONTROLLING);
    }
    let member = tree.processes().find(|process| process.process_group == wanted);
    let member =
        member.or_else(|| tree.process(wanted)).ok_or(fail(errno::ESRCH, "no such process group"))?;
    if member.session != own {
        return Err(fail(errno::EPERM, "the process group is of another session"));
    }
    tree.sessions_mut().set_foreground(own, wanted);
    Ok(Outcome::OK)
}

/// Makes `terminal` the caller's controlling terminal. The superuser may take it from another session (`arg` is 1).
fn become_controlling(
    cx: &SyscallCx<'_>,
    file: &OpenFile,
    terminal: &Arc<dyn Terminal>,
    arg: Address,
) -> SyscallResult {
    let (session, process_group) = place_of(cx.task);
    let is_admin = cx.credentials().effective.contains(Capabilities::SYS_ADMIN);
    let mut tree = cx.kernel().processes.lock();
    let is_leader = session == cx.group().tgid();
    if is_leader && tree.sessions().is_controlled_by(session, terminal) {
        return Ok(Outcome::OK);
    }
    if !is_leader || tree.sessions().terminal(session).is_some() {
        return Err(fail(errno::EPERM, "not the leader of a session without a terminal"));
    }
    let other = tree.sessions().session_of(terminal);
    if other.is_some() && !(arg.0 == 1 && is_admin) {
        return Err(fail(errno::EPERM, "it controls another session"));
    }
    if !file.flags().is_readable() && !is_admin {
        return Err(fail(errno::EPERM, "not open for reading"));
    }
    if let Some(other) = other {
        tree.sessions_mut().release(other);
    }
    tree.sessions_mut().control(session, process_group, Arc::clone(terminal));
    Ok(Outcome::OK)
}

/// Gives up the controlling terminal, for all of the session if the caller leads it. As an answer to others it has no effect:
/// a process can't be without the terminal that its session has.
fn leave(cx: &SyscallCx<'_>, terminal: &Arc<dyn Terminal>, end: End) -> SyscallResult {
    let (session, _) = place_of(cx.task);
    let controls = cx.kernel().processes.lock().sessions().is_controlled_by(session, terminal);
    if !controls || end == End::Master {
        return Err(NOT_CONTROLLING);
    }
    if session == cx.group().tgid() {
        give_up(cx.kernel(), session);
    }
    Ok(Outcome::OK)
}
