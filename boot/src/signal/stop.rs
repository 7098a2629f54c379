//! Job control: stopping and continuing processes.
//!
//! A stop signal sets [`GroupSignals::stop`](super::GroupSignals); each task of the group stops when it next looks at
//! its signals, and the last one tells the parent. `SIGCONT` and `SIGKILL` take the stop away when they are sent.

use super::state::JobReport;
use super::{Origin, Signal, SignalInfo, Target, child, send};
use crate::prelude::{Arc, Task};
use crate::task::{GroupState, Pid, Process, Tree};

/// Begins to stop a process by `signal`.
pub(super) fn begin(process: &Process, signal: Signal) {
    process.group.state().signals.stop.get_or_insert(signal);
    for task in &process.tasks {
        task.kick();
    }
}

/// Stops a task whose group is to stop. Returns `false` if the group is not to stop (any more).
pub(super) fn stop_task(tree: &Tree, task: &Arc<Task>) -> bool {
    let state = task.group().state();
    if state.signals.stop.is_none() || state.exit.is_some() {
        return false;
    }
    let was_stopped = std::mem::replace(&mut task.signals.lock().is_stopped, true);
    drop(state);
    if !was_stopped && let Some(process) = tree.process(task.group().tgid()) {
        tell_if_all_stopped(tree, process);
    }
    true
}

/// Hands on what a task that has ended leaves to the others of its group: signals that it was to take, a stop that
/// waited for it only. The end of a task calls this when it has left the tree.
pub(crate) fn on_task_gone(tree: &Tree, process: &Process) {
    let (pending, was_told) = {
        let state = process.group.state();
        (state.signals.pending.set(), state.signals.stop_to_report().is_some())
    };
    for task in &process.tasks {
        if !pending.without(task.signals.lock().blocked).is_empty() {
            task.kick();
        }
    }
    if !was_told && !process.tasks.is_empty() {
        tell_if_all_stopped(tree, process);
    }
}

fn tell_if_all_stopped(tree: &Tree, process: &Process) {
    let mut state = process.group.state();
    let Some(signal) = state.signals.stop else { return };
    if !process.tasks.iter().all(|task| task.signals.lock().is_stopped) {
        return;
    }
    let report = JobReport::Stopped(signal);
    state.signals.job_report = Some(report);
    drop(state);
    child::notify_job_change(tree, process, report);
}

/// Lets a process go on, if it stops or has stopped. Returns what its parent is to be told.
pub(super) fn resume(process: &Process, state: &mut GroupState) -> Option<JobReport> {
    state.signals.stop.take()?;
    let mut had_stopped = true;
    for task in &process.tasks {
        had_stopped &= std::mem::take(&mut task.signals.lock().is_stopped);
        task.kick();
    }
    // A stop that was not complete was never told, and neither is its end.
    let report = had_stopped.then_some(JobReport::Continued);
    state.signals.job_report = report;
    report
}

/// Returns whether the process group `process_group` is orphaned: no member has a parent in another group of the same
/// session (POSIX, 3.264). Zombies do not count.
pub(crate) fn is_orphaned(tree: &Tree, process_group: Pid) -> bool {
    !tree.processes().any(|member| {
        member.process_group == process_group
            && member.zombie.is_none()
            && tree.process(member.parent).is_some_and(|parent| {
                parent.process_group != process_group && parent.session == member.session
            })
    })
}

/// Returns the process groups that the process `tgid` keeps from being orphaned: its own, and those of its children.
/// The end of a process calls this before it gives its children away.
pub(crate) fn groups_held(tree: &Tree, tgid: Pid) -> Vec<Pid> {
    let Some(process) = tree.process(tgid) else { return Vec::new() };
    let holds = |parent: &Process, child: &Process| {
        parent.process_group != child.process_group && parent.session == child.session
    };
    let own = tree.process(process.parent).filter(|parent| holds(parent, process)).map(|_| process);
    let children = process.children.iter().filter_map(|pid| tree.process(*pid));
    own.into_iter()
        .chain(children.filter(|child| holds(process, child)))
        .map(|member| member.process_group)
        .collect()
}

/// Sends `SIGHUP` and `SIGCONT` to those of `groups` that are orphaned now and have a stopped member (`_exit(2)`). The
/// end of a process calls this when it has given its children away.
pub(crate) fn wake_orphaned_groups(tree: &Tree, groups: &[Pid]) {
    for group in groups {
        let members = || tree.processes().filter(|process| process.process_group == *group);
        if !members().any(is_stopped) || !is_orphaned(tree, *group) {
            continue;
        }
        for process in members() {
            for signal in [Signal::HUP, Signal::CONT] {
                let info = SignalInfo::kernel(signal);
                let _ = send(tree, process, Target::Group, info, Origin::Inside);
            }
        }
    }
}

/// Returns whether job control has stopped all tasks of a process.
pub(crate) fn is_stopped(process: &Process) -> bool {
    let is_to_stop = process.group.state().signals.stop.is_some();
    is_to_stop && process.tasks.iter().all(|task| task.signals.lock().is_stopped)
}
