//! Sending signals: who gets them, and what happens at once.

use super::state::JobReport;
use super::stop;
use super::{Sent, Signal, SignalInfo, SignalSet, child};
use crate::error::Errno;
use crate::event::Events;
use crate::prelude::{Arc, Kernel, Task};
use crate::task::{ExitStatus, GroupState, Process, ThreadGroup, Tree};

/// Where a signal comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The container itself: its first process is protected.
    Inside,
    /// The control protocol: `SIGKILL` and `SIGSTOP` reach the container's first process too.
    Outside,
}

/// Who a signal is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'a> {
    /// Any task of a process.
    Group,
    /// This task.
    Task(&'a Arc<Task>),
}

/// Sends a signal of the kernel's to a task; nothing happens if the task has ended. The caller holds no lock but
/// [`class::TASK_RUN`](cloister_sync::class::TASK_RUN).
pub(crate) fn send_to_task(task: &Arc<Task>, info: SignalInfo) {
    let tree = task.kernel().processes.lock();
    if let Some(process) = tree.process(task.group().tgid()) {
        // The kernel's own signals are few; only those that a program queues meet the limit.
        let _ = send(&tree, process, Target::Task(task), info, Origin::Inside);
    }
}

/// Sends a signal to a process on behalf of who controls the sandbox; nothing happens if it has ended. Locks as for
/// [`send_to_task`].
pub(crate) fn send_from_outside(kernel: &Kernel, group: &ThreadGroup, signal: Signal) {
    let tree = kernel.processes.lock();
    if let Some(process) = tree.process(group.tgid()) {
        let _ = send(&tree, process, Target::Group, SignalInfo::user(signal, 0, 0), Origin::Outside);
    }
}

/// Sends a signal to a task or to any task of `process`.
///
/// # Errors
///
/// `EAGAIN` if too many signals are queued.
pub(crate) fn send(
    tree: &Tree,
    process: &Process,
    target: Target<'_>,
    info: SignalInfo,
    origin: Origin,
) -> Result<Sent, Errno> {
    // The task by which it is decided whether the signal is ignored: as in Linux, the leader for a process.
    let Some(judge) = (match target {
        Target::Group => process.tasks.first(),
        Target::Task(task) => Some(task),
    }) else {
        return Ok(Sent::Dropped);
    };
    let action = judge.actions().get(info.signal);
    let mut state = process.group.state();
    if state.exit.is_some() {
        return Ok(Sent::Dropped);
    }
    let (report, discarded) = interplay(process, &mut state, info.signal);
    let protected = state.signals.is_init
        && action.handler == super::Handler::Default
        && (origin == Origin::Inside || !SignalSet::UNMASKABLE.contains(info.signal));
    let mut sent = Ok(Sent::Dropped);
    if info.signal == Signal::KILL {
        if !protected {
            end(process, &mut state, info.signal);
            sent = Ok(Sent::Queued);
        }
    } else {
        let blocked = judge.signals.lock().blocked.contains(info.signal);
        if blocked || !(protected || action.ignores(info.signal)) {
            sent = queue(process, &mut state, target, info);
        }
    }
    drop(state);
    if !discarded.is_empty() {
        process.group.timers.on_discarded(judge.kernel(), tree, &discarded);
    }
    if let Some(report) = report {
        child::notify_job_change(tree, process, report);
    }
    sent
}

/// Carries out what stop signals and `SIGCONT` do to each other when they are sent, blocked or not
/// (`signal(7)`, "Standard signals"; POSIX, 2.4.3). Returns what the parent is to be told, and the signals that were
/// discarded.
fn interplay(
    process: &Process,
    state: &mut GroupState,
    signal: Signal,
) -> (Option<JobReport>, Vec<SignalInfo>) {
    let unwanted = match signal {
        Signal::CONT => SignalSet::STOPS,
        _ if SignalSet::STOPS.contains(signal) => SignalSet::of(Signal::CONT),
        _ => return (None, Vec::new()),
    };
    let discarded = discard(process, state, unwanted);
    let report = if signal == Signal::CONT { stop::resume(process, state) } else { None };
    (report, discarded)
}

/// Discards pending signals of a process and of all its tasks. The caller tells the timers
/// ([`GroupTimers::on_discarded`](crate::time::GroupTimers::on_discarded)) when it has unlocked the group.
pub(super) fn discard(process: &Process, state: &mut GroupState, set: SignalSet) -> Vec<SignalInfo> {
    let mut discarded = state.signals.pending.discard(set);
    for task in &process.tasks {
        discarded.append(&mut task.signals.lock().pending.discard(set));
    }
    discarded
}

/// Queues a signal, and wakes who takes it.
fn queue(
    process: &Process,
    state: &mut GroupState,
    target: Target<'_>,
    info: SignalInfo,
) -> Result<Sent, Errno> {
    let limit = process.group.signal_limit();
    let (sent, taker) = match target {
        Target::Task(task) => {
            let mut signals = task.signals.lock();
            let sent = signals.pending.push(info, limit)?;
            (sent, (!signals.blocked.contains(info.signal)).then_some(task))
        }
        Target::Group => {
            let sent = state.signals.pending.push(info, limit)?;
            let takes = |task: &&Arc<Task>| !task.signals.lock().blocked.contains(info.signal);
            (sent, process.tasks.iter().find(takes))
        }
    };
    if let Some(task) = taker {
        task.kick();
    }
    // Those who wait for blocked signals: sigtimedwait(2), signalfd(2).
    process.group.signal_events.wake(Events::READABLE);
    Ok(sent)
}

/// Ends a process by a signal: all its tasks leave as soon as they see it.
pub(super) fn end(process: &Process, state: &mut GroupState, signal: Signal) {
    let status = ExitStatus::Signaled { signal: signal.number(), core_dumped: false };
    state.exit.get_or_insert(status);
    state.signals.stop = None;
    for task in &process.tasks {
        task.kick();
    }
}
