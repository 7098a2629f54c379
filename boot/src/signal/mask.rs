//! What a task changes about its own signals: the mask, the actions, the alternate stack.

use cloister_abi::signal::Stack;

use super::{Action, Signal, SignalInfo, SignalSet, send};
use crate::error::Fail;
use crate::prelude::{Arc, SyscallCx, Task};

/// Takes a pending signal of `task` or of its process, blocked or not. The caller holds no lock but
/// [`class::TASK_RUN`](cloister_sync::class::TASK_RUN).
pub(super) fn take_for(task: &Arc<Task>, set: SignalSet) -> Option<SignalInfo> {
    let tree = task.kernel().processes.lock();
    let mut info = {
        let mut state = task.group().state();
        let mut signals = task.signals.lock();
        signals.pending.take(set).or_else(|| state.signals.pending.take(set))?
    };
    task.group().timers.on_taken(task.kernel(), &tree, &mut info);
    Some(info)
}

impl SyscallCx<'_> {
    /// Sets the signals that the caller holds back; `SIGKILL` and `SIGSTOP` never are.
    pub(crate) fn set_mask(&mut self, mask: SignalSet) {
        let mask = mask.without(SignalSet::UNMASKABLE);
        let before = std::mem::replace(&mut self.task.signals.lock().blocked, mask);
        // Signals of the process that this task was to take, and now does not, are for another one.
        let left = self.group().state().signals.pending.set().and(mask.without(before));
        if !left.is_empty() {
            self.hand_over(left);
        }
    }

    /// Sets the signals that the caller holds back until the end of the call that it is in (`sigsuspend(2)`,
    /// `ppoll(2)`): if a handler runs, its return brings the mask of before the call back. May be called again when the
    /// handler of the call is run again.
    pub(crate) fn set_temporary_mask(&mut self, mask: SignalSet) {
        {
            let mut signals = self.task.signals.lock();
            if signals.saved_mask.is_none() {
                signals.saved_mask = Some(signals.blocked);
            }
        }
        self.set_mask(mask);
    }

    /// Takes back what [`SyscallCx::set_temporary_mask`] did.
    pub(super) fn restore_mask(&mut self) {
        let saved = self.task.signals.lock().saved_mask.take();
        if let Some(mask) = saved {
            self.set_mask(mask);
        }
    }

    fn hand_over(&self, signals: SignalSet) {
        let tree = self.kernel().processes.lock();
        let Some(process) = tree.process(self.group().tgid()) else { return };
        for task in &process.tasks {
            if task.tid() != self.task.tid() && !signals.without(task.signals.lock().blocked).is_empty() {
                task.kick();
            }
        }
    }

    /// Takes a pending signal of the caller's or of its process, blocked or not.
    pub(crate) fn take_signal(&self, set: SignalSet) -> Option<SignalInfo> {
        take_for(self.task, set)
    }

    /// Changes what `signal` does, and returns what it did. A signal that is ignored from now on is not pending any more
    /// (`sigaction(2)`; POSIX, 2.4.3).
    pub(crate) fn set_action(&self, signal: Signal, action: Action) -> Action {
        let old = self.task.actions().lock().set(signal, action);
        if action.ignores(signal) {
            let tree = self.kernel().processes.lock();
            if let Some(process) = tree.process(self.group().tgid()) {
                let discarded = send::discard(process, &mut process.group.state(), SignalSet::of(signal));
                self.group().timers.on_discarded(self.kernel(), &tree, &discarded);
            }
        }
        old
    }

    /// Returns the alternate stack in the guest's form, and exchanges it for `new`.
    ///
    /// # Errors
    ///
    /// As `sigaltstack(2)`.
    pub(crate) fn exchange_alt_stack(&self, new: Option<&Stack>) -> Result<Stack, Fail> {
        let sp = self.registers().rsp;
        let mut signals = self.task.signals.lock();
        let old = signals.alt_stack.to_raw(sp);
        if let Some(new) = new {
            signals.alt_stack = signals.alt_stack.changed_to(new, sp)?;
        }
        Ok(old)
    }
}
