//! What happens to signals on the way back to guest code.

use super::action::{Action, ActionFlags, DefaultAction, Handler};
use super::{SignalInfo, SignalSet, force, frame, restart, stop};
use crate::prelude::{Arc, SyscallCx, Task};
use crate::task::{self, ExitStatus};

/// What the look at a task's signals ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BeforeUser {
    /// Guest code goes on, with the registers as they are now.
    Resume,
    /// The task is stopped by job control.
    Stopped,
    /// The task is gone.
    Exited,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Nothing.
    Nothing,
    /// The task leaves, since its group ends.
    Leave(ExitStatus),
    /// The task ends its group.
    EndGroup(ExitStatus),
    /// The task has stopped.
    Stopped,
    /// The guest's handler runs.
    Handle(SignalInfo, Action),
}

/// Returns whether a signal, a stop or an end is to be handled before guest code goes on.
pub(crate) fn has_deliverable(task: &Task) -> bool {
    let shared = {
        let state = task.group().state();
        if state.exit.is_some() || state.signals.stop.is_some() || state.leaves_for_exec(task.tid()) {
            return true;
        }
        state.signals.pending.set()
    };
    let signals = task.signals.lock();
    !signals.pending.set().or(shared).without(signals.blocked).is_empty()
}

/// Handles what is pending before guest code goes on.
pub(crate) fn before_user(cx: &mut SyscallCx<'_>) -> BeforeUser {
    // A call that was not interrupted is over, and with it the mask that it had set for its time.
    if cx.run.restart.is_none() {
        cx.restore_mask();
    }
    loop {
        match next(cx.task) {
            Step::Nothing => break,
            Step::Leave(status) => {
                task::exit_task(cx, status);
                return BeforeUser::Exited;
            }
            Step::EndGroup(status) => {
                task::exit_group(cx, status);
                return BeforeUser::Exited;
            }
            Step::Stopped => return BeforeUser::Stopped,
            Step::Handle(info, action) => handle(cx, &info, &action),
        }
    }
    if cx.run.restart.is_some() {
        restart::apply(cx.run, None);
        cx.restore_mask();
    }
    BeforeUser::Resume
}

/// Takes the next signal that does something.
fn next(task: &Arc<Task>) -> Step {
    while has_deliverable(task) {
        // With the tree locked, so that no SIGCONT comes between the taking of a stop signal and the stop.
        let tree = task.kernel().processes.lock();
        if let Some(status) = leaves(task) {
            return Step::Leave(status);
        }
        if stop::stop_task(&tree, task) {
            return Step::Stopped;
        }
        let Some((mut info, action, is_protected)) = take(task) else { continue };
        task.group().timers.on_taken(task.kernel(), &tree, &mut info);
        trace(task, &info, &action);
        let default = match action.handler {
            Handler::Ignore => continue,
            Handler::Function(_) => return Step::Handle(info, action),
            Handler::Default if is_protected => continue,
            Handler::Default => DefaultAction::of(info.signal),
        };
        let Some(process) = tree.process(task.group().tgid()) else { continue };
        match default {
            DefaultAction::Ignore | DefaultAction::Continue => {}
            DefaultAction::Stop => {
                let always = SignalSet::UNMASKABLE.contains(info.signal);
                if always || !stop::is_orphaned(&tree, process.process_group) {
                    stop::begin(process, info.signal);
                }
            }
            DefaultAction::Terminate => {
                let signal = info.signal.number();
                return Step::EndGroup(ExitStatus::Signaled { signal, core_dumped: false });
            }
        }
    }
    Step::Nothing
}

/// Returns the status with which the task leaves without more ado: its group ends, or another task of it executes a
/// program.
fn leaves(task: &Task) -> Option<ExitStatus> {
    let state = task.group().state();
    let leaves_for_exec = state.leaves_for_exec(task.tid());
    state.exit.or_else(|| leaves_for_exec.then_some(ExitStatus::Exited(0)))
}

/// Takes the next signal that is not blocked, with its action, and whether the task is a container's first process
/// that the signal's default action does not touch.
fn take(task: &Arc<Task>) -> Option<(SignalInfo, Action, bool)> {
    let shared_actions = task.actions();
    let mut state = task.group().state();
    let mut actions = shared_actions.lock();
    let mut signals = task.signals.lock();
    let allowed = SignalSet::ALL.without(signals.blocked);
    let info = signals.pending.take(allowed).or_else(|| state.signals.pending.take(allowed))?;
    let action = actions.get(info.signal);
    if matches!(action.handler, Handler::Function(_)) && action.flags.contains(ActionFlags::RESETHAND) {
        actions.set(info.signal, Action { handler: Handler::Default, ..action });
    }
    let is_protected = state.signals.is_init && !SignalSet::UNMASKABLE.contains(info.signal);
    Some((info, action, is_protected))
}

/// Lets the guest's handler run.
fn handle(cx: &mut SyscallCx<'_>, info: &SignalInfo, action: &Action) {
    restart::apply(cx.run, Some(action.flags));
    let mask = {
        let mut signals = cx.task.signals.lock();
        let blocked = signals.blocked;
        signals.saved_mask.take().unwrap_or(blocked)
    };
    if frame::push(cx, info, action, mask).is_err() {
        cx.task.signals.lock().blocked = mask;
        force::on_bad_frame(cx, info.signal);
        return;
    }
    let mut blocked = cx.task.signals.lock().blocked.or(action.mask);
    if !action.flags.contains(ActionFlags::NODEFER) {
        blocked.insert(info.signal);
    }
    cx.set_mask(blocked);
}

fn trace(task: &Task, info: &SignalInfo, action: &Action) {
    if !task.kernel().strace.is_on() {
        return;
    }
    let (tid, name, handler) = (task.tid(), task.name(), action.handler);
    let (number, code, word) = (info.signal.number(), info.code, info.fields[0]);
    let signal = info.signal.name().map_or_else(|| format!("RT{number}"), str::to_owned);
    let name = String::from_utf8_lossy(&name);
    tracing::info!(target: "strace", "[{tid} {name}] --- SIG{signal} code={code} {word:#x} {handler:?} ---");
}
