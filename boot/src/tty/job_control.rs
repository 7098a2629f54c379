//! Job control: who may use a terminal, and what becomes of a session whose terminal or leader goes.

use super::terminal::is_same;
use super::{Sessions, Terminal};
use crate::fs::OpenFlags;
use crate::prelude::*;
use crate::signal::{self, Origin, Signal, SignalInfo, SignalSet, Target};
use crate::task::{Pid, Tree, number};

/// Returns the terminal that controls the session of `task`.
pub(crate) fn controlling_terminal(task: &Task) -> Option<Arc<dyn Terminal>> {
    let tree = task.kernel().processes.lock();
    let session = tree.process(task.group().tgid())?.session;
    tree.sessions().terminal(session).map(Arc::clone)
}

/// Makes `terminal` control the session of a new process, which leads it.
pub(crate) fn control(kernel: &Kernel, terminal: Arc<dyn Terminal>, leader: Pid) {
    kernel.processes.lock().sessions_mut().control(leader, leader, terminal);
}

/// Returns the process group in the foreground of the terminal that the process `pid` has.
pub(crate) fn foreground_of(kernel: &Kernel, pid: Pid) -> Option<Pid> {
    let tree = kernel.processes.lock();
    tree.sessions().foreground(tree.process(pid)?.session)
}

/// Checks that `task` may read from `terminal`: is in its foreground, or of a session that it does not control. Otherwise the
/// process group gets `SIGTTIN`.
///
/// # Errors
///
/// `EAGAIN` if it is to wait until the signal stops it; `EIO` if it holds the signal back, or nobody could let it go on.
pub(crate) fn check_read(task: &Arc<Task>, terminal: &Arc<dyn Terminal>) -> Result<(), Errno> {
    check(task, terminal, Signal::TTIN)
}

/// Checks that `task` may write to `terminal`, as [`check_read`] does, with `SIGTTOU`, and only if the terminal is set so.
///
/// # Errors
///
/// As [`check_read`]; but a task that holds the signal back may write.
pub(crate) fn check_write(task: &Arc<Task>, terminal: &Arc<dyn Terminal>) -> Result<(), Errno> {
    if terminal.stops_background_writers() { check(task, terminal, Signal::TTOU) } else { Ok(()) }
}

/// Checks that the caller may change `terminal`, as [`check_write`] does, however the terminal is set.
///
/// # Errors
///
/// `EIO`; the failure by which the call is begun anew after the stop.
pub(crate) fn check_change(cx: &SyscallCx<'_>, terminal: &Arc<dyn Terminal>) -> Result<(), Fail> {
    match check(cx.task, terminal, Signal::TTOU) {
        Err(errno::EAGAIN) => Err(cx.park(None, Restart::Sys)),
        result => Ok(result?),
    }
}

fn check(task: &Arc<Task>, terminal: &Arc<dyn Terminal>, signal: Signal) -> Result<(), Errno> {
    let tree = task.kernel().processes.lock();
    let Some(process) = tree.process(task.group().tgid()) else { return Ok(()) };
    let (session, process_group) = (process.session, process.process_group);
    let is_controlled = tree.sessions().is_controlled_by(session, terminal);
    if !is_controlled || tree.sessions().foreground(session) == Some(process_group) {
        return Ok(());
    }
    if holds_back(task, signal) {
        return if signal == Signal::TTIN { Err(errno::EIO) } else { Ok(()) };
    }
    if signal::is_orphaned(&tree, process_group) {
        return Err(errno::EIO);
    }
    send_to_group(&tree, process_group, signal);
    Err(errno::EAGAIN)
}

/// Returns whether `task` blocks or ignores `signal`.
fn holds_back(task: &Task, signal: Signal) -> bool {
    let blocked = task.signals.lock().blocked;
    !blocked.and(SignalSet::of(signal)).is_empty() || task.actions().get(signal).ignores(signal)
}

/// Sends signals of a terminal to the process group in its foreground.
pub(super) fn send_to_foreground(kernel: &Kernel, terminal: &Arc<dyn Terminal>, signals: &[Signal]) {
    if signals.is_empty() {
        return;
    }
    let tree = kernel.processes.lock();
    let sessions = tree.sessions();
    let Some(group) = sessions.session_of(terminal).and_then(|session| sessions.foreground(session)) else {
        return;
    };
    for signal in signals {
        send_to_group(&tree, group, *signal);
    }
}

fn send_to_group(tree: &Tree, process_group: Pid, signal: Signal) {
    for process in tree.processes().filter(|process| process.process_group == process_group) {
        // The kernel's own signals are few; only those that a program queues meet the limit.
        let _ = signal::send(tree, process, Target::Group, SignalInfo::kernel(signal), Origin::Inside);
    }
}

/// Makes a terminal that was just opened control the caller's session, if the caller leads one without a terminal, and the
/// terminal controls none (`open(2)`, `O_NOCTTY`).
pub(crate) fn acquire_by_open(task: &Task, terminal: &Arc<dyn Terminal>, flags: OpenFlags) {
    if flags.contains(OpenFlags::NO_CONTROLLING_TERMINAL) || !flags.is_readable() {
        return;
    }
    let mut tree = task.kernel().processes.lock();
    let Some(process) = tree.process(task.group().tgid()) else { return };
    let (session, process_group) = (process.session, process.process_group);
    let has_one = tree.sessions().terminal(session).is_some();
    if session == task.group().tgid() && !has_one && tree.sessions().session_of(terminal).is_none() {
        tree.sessions_mut().control(session, process_group, Arc::clone(terminal));
    }
}

/// Takes the terminal away from the session that the ending process `tgid` leads, if it leads one (`_exit(2)`). The process
/// group in the foreground is hung up. The end of a process calls this when the process is a zombie.
pub(crate) fn on_process_exit(tree: &mut Tree, tgid: Pid) {
    let Some(left) = tree.sessions_mut().release(tgid) else { return };
    send_to_group(tree, left.foreground, Signal::HUP);
    if left.was_hung_up {
        send_to_group(tree, left.foreground, Signal::CONT);
    }
}

/// Takes the terminal away from the caller's session, which the caller leads (`ioctl_tty(2)`, `TIOCNOTTY`).
pub(super) fn give_up(kernel: &Kernel, session: Pid) {
    let mut tree = kernel.processes.lock();
    let Some(left) = tree.sessions_mut().release(session) else { return };
    for signal in [Signal::HUP, Signal::CONT] {
        send_to_group(&tree, left.foreground, signal);
    }
}

/// Hangs up the session that `terminal` controls, since the terminal is gone: its leader is told. When that ends, the process
/// group in the foreground is hung up too.
pub(crate) fn hang_up(kernel: &Kernel, terminal: &Arc<dyn Terminal>) {
    let mut tree = kernel.processes.lock();
    let Some(session) = tree.sessions().session_of(terminal) else { return };
    let released = tree.sessions_mut().hang_up(session);
    if let Some(leader) = tree.process(session) {
        for signal in [Signal::HUP, Signal::CONT] {
            let _ = signal::send(&tree, leader, Target::Group, SignalInfo::kernel(signal), Origin::Inside);
        }
    }
    drop(tree);
    debug_assert!(released.is_none_or(|own| is_same(&own, terminal)), "the session had this terminal");
}

/// Returns the number of a session's terminal and its foreground process group, as `/proc/PID/stat` tells them.
pub(crate) fn for_stat(sessions: &Sessions, session: Pid) -> (u32, i32) {
    let Some(terminal) = sessions.terminal(session) else { return (0, -1) };
    let (major, minor) = terminal.device().unwrap_or((0, 0));
    let device = (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12);
    (device, sessions.foreground(session).map_or(-1, number))
}
