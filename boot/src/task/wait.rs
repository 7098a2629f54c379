//! Finding a child whose state changed (`wait(2)`).

use bitflags::bitflags;
use cloister_platform::CpuTime;

use super::{ExitStatus, Pid, Process, Task, Tree};
use crate::signal::Signal;

/// Which children are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitFor {
    /// All.
    Any,
    /// This one.
    Process(Pid),
    /// Those of this process group.
    ProcessGroup(Pid),
}

bitflags! {
    /// Which changes are waited for, and how (`waitid(2)`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct WaitOptions: u32 {
        /// `WNOHANG`.
        const NO_HANG = 1;
        /// `WSTOPPED`, `WUNTRACED`.
        const STOPPED = 2;
        /// `WEXITED`.
        const EXITED = 4;
        /// `WCONTINUED`.
        const CONTINUED = 8;
        /// `WNOWAIT`.
        const NO_WAIT = 0x100_0000;
        /// `__WNOTHREAD`.
        const NO_THREAD = 0x2000_0000;
        /// `__WALL`.
        const ALL = 0x4000_0000;
        /// `__WCLONE`.
        const CLONE = 0x8000_0000;
    }
}

/// A change that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waited {
    /// The child.
    pub(crate) pid: Pid,
    /// Its real user.
    pub(crate) uid: u32,
    /// What became of it.
    pub(crate) change: WaitedChange,
    /// The processor time that it and those that it waited for have used.
    pub(crate) time: CpuTime,
}

/// What became of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitedChange {
    /// It ended.
    Ended(ExitStatus),
    /// A signal stopped it.
    Stopped(Signal),
    /// It goes on after a stop.
    Continued,
}

/// Looks for a child of `task`'s process whose state changed as `options` want, and takes note of the change. The result
/// is `Err` if no child could ever match (`ECHILD`), `Ok(None)` if none has changed yet.
pub(crate) fn find_child(
    tree: &mut Tree,
    task: &Task,
    wait_for: WaitFor,
    options: WaitOptions,
) -> Result<Option<Waited>, NoChild> {
    let Some(own) = tree.process(task.group().tgid()) else { return Err(NoChild) };
    let mut has_candidate = false;
    let mut found = None;
    for pid in &own.children {
        let Some(child) = tree.process(*pid).filter(|child| matches(child, wait_for, options)) else {
            continue;
        };
        has_candidate = true;
        if let Some(change) = change_of(child, options) {
            found = Some((*pid, change));
            break;
        }
    }
    let Some((pid, change)) = found else { return if has_candidate { Ok(None) } else { Err(NoChild) } };
    Ok(take_note(tree, task, pid, change, options))
}

/// No child can match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoChild;

fn matches(child: &Process, wait_for: WaitFor, options: WaitOptions) -> bool {
    let is_wanted = match wait_for {
        WaitFor::Any => true,
        WaitFor::Process(pid) => child.group.tgid() == pid,
        WaitFor::ProcessGroup(id) => child.process_group == id,
    };
    // A "clone" child is one that tells its end by another signal than SIGCHLD.
    let is_clone = child.exit_signal != Signal::CHLD.number();
    is_wanted && (options.contains(WaitOptions::ALL) || is_clone == options.contains(WaitOptions::CLONE))
}

fn change_of(child: &Process, options: WaitOptions) -> Option<WaitedChange> {
    if let Some(status) = child.zombie {
        return options.contains(WaitOptions::EXITED).then_some(WaitedChange::Ended(status));
    }
    let state = child.group.state();
    if options.contains(WaitOptions::STOPPED)
        && let Some(signal) = state.signals.stop_to_report()
    {
        return Some(WaitedChange::Stopped(signal));
    }
    (options.contains(WaitOptions::CONTINUED) && state.signals.has_continue_to_report())
        .then_some(WaitedChange::Continued)
}

fn take_note(
    tree: &mut Tree,
    task: &Task,
    pid: Pid,
    change: WaitedChange,
    options: WaitOptions,
) -> Option<Waited> {
    let child = tree.process(pid)?;
    let group = std::sync::Arc::clone(&child.group);
    let uid = child.uid;
    let time = {
        let mut state = group.state();
        if !options.contains(WaitOptions::NO_WAIT) && !matches!(change, WaitedChange::Ended(_)) {
            state.signals.mark_reported();
        }
        state.ended_threads_time + state.children_time
    };
    if matches!(change, WaitedChange::Ended(_)) && !options.contains(WaitOptions::NO_WAIT) {
        tree.reap(pid);
        let mut own = task.group().state();
        own.children_time = own.children_time + time;
    }
    Some(Waited { pid, uid, change, time })
}
