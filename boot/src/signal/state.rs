//! The state of signals that a task, and a thread group, has.

use serde::{Deserialize, Serialize};

use super::{AltStack, PendingSignals, Signal, SignalSet};

/// A task's own signals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskSignals {
    /// Sent to this task (`tgkill(2)`, faults).
    pub(crate) pending: PendingSignals,
    /// Those that are held back.
    pub(crate) blocked: SignalSet,
    /// What `blocked` goes back to when the call that has exchanged it for its time ends.
    pub(super) saved_mask: Option<SignalSet>,
    /// The alternate stack.
    pub(super) alt_stack: AltStack,
    /// Whether job control has stopped it.
    pub(crate) is_stopped: bool,
    /// What the last processor exception was.
    pub(super) exception: ExceptionCause,
}

/// What a frame tells about the last processor exception.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ExceptionCause {
    /// The exception's number.
    pub(super) number: u64,
    /// Its error code.
    pub(super) error: u64,
    /// The address of the last page fault.
    pub(super) address: u64,
}

impl TaskSignals {
    /// Returns those of a task that this one makes: the mask is inherited, what is pending is not
    /// (`signal(7)`, "Pending signals").
    pub(crate) fn for_fork(&self) -> Self {
        Self { alt_stack: self.alt_stack, ..self.for_thread() }
    }

    /// Returns those of a task that this one makes and that shares its memory (`clone(2)`, `CLONE_VM` without
    /// `CLONE_VFORK`): as [`TaskSignals::for_fork`], and without the alternate stack.
    pub(crate) fn for_thread(&self) -> Self {
        Self { blocked: self.saved_mask.unwrap_or(self.blocked), ..Self::default() }
    }

    /// Takes away what does not survive `execve(2)`.
    pub(crate) fn on_exec(&mut self) {
        self.alt_stack = AltStack::default();
        self.exception = ExceptionCause::default();
    }
}

/// The signals of a thread group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupSignals {
    /// Sent to the process (`kill(2)`): any of its tasks takes them.
    pub(crate) pending: PendingSignals,
    /// The signal by which job control stops its tasks: each stops as soon as it sees this.
    pub(super) stop: Option<Signal>,
    /// The last change by job control, until a `wait4(2)` tells it.
    pub(super) job_report: Option<JobReport>,
    /// Whether it is the first process of a container, to which signals without a handler do nothing
    /// (`pid_namespaces(7)`, "The namespace init process").
    pub(crate) is_init: bool,
}

impl GroupSignals {
    /// Returns the signal that stopped the process, if its parent was not told yet.
    pub(crate) fn stop_to_report(&self) -> Option<Signal> {
        match self.job_report {
            Some(JobReport::Stopped(signal)) => Some(signal),
            Some(JobReport::Continued) | None => None,
        }
    }

    /// Returns whether the process goes on after a stop, and its parent was not told yet.
    pub(crate) fn has_continue_to_report(&self) -> bool {
        self.job_report == Some(JobReport::Continued)
    }

    /// Says that the parent was told.
    pub(crate) fn mark_reported(&mut self) {
        self.job_report = None;
    }
}

/// A change of a process by job control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum JobReport {
    /// It stopped (`WUNTRACED`).
    Stopped(Signal),
    /// It goes on (`WCONTINUED`).
    Continued,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::SignalInfo;

    #[test]
    fn children_inherit_the_mask_that_lasts() {
        let mut parent = TaskSignals { blocked: SignalSet::ALL, ..TaskSignals::default() };
        parent.saved_mask = Some(SignalSet::of(Signal::USR1));
        parent.pending.push(SignalInfo::kernel(Signal::HUP), 1).unwrap();
        let child = parent.for_thread();
        assert_eq!(child.blocked, SignalSet::of(Signal::USR1));
        assert!(child.pending.set().is_empty() && child.saved_mask.is_none());
    }

    #[test]
    fn images_survive_a_round_trip() {
        let mut task = TaskSignals::default();
        task.pending.push(SignalInfo::user(Signal::USR2, 3, 4), 1).unwrap();
        task.blocked = SignalSet::of(Signal::INT);
        let group =
            GroupSignals { job_report: Some(JobReport::Stopped(Signal::TSTP)), ..GroupSignals::default() };
        let bytes = serde_json::to_vec(&(&task, &group)).unwrap();
        assert_eq!(serde_json::from_slice::<(TaskSignals, GroupSignals)>(&bytes).unwrap(), (task, group));
    }
}
