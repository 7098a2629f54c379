//! What a parent is told about its children (`wait(2)`, `sigaction(2)`: `SIGCHLD`).

use std::time::Duration;

use super::action::ActionFlags;
use super::info::SI_USER;
use super::state::JobReport;
use super::{Handler, Origin, Signal, SignalInfo, Target, send};
use crate::event::Events;
use crate::kernel::Kernel;
use crate::task::{ExitStatus, Pid, Process, ThreadGroup, Tree, number};
use crate::time::ticks;

/// What `SIGCHLD` and `waitid(2)` tell about a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChildInfo {
    /// The child.
    pub(super) pid: Pid,
    /// Its real user id.
    pub(super) uid: u32,
    /// The processor time that it used in guest code.
    pub(super) user_time: Duration,
    /// The processor time that was used on its behalf.
    pub(super) system_time: Duration,
}

impl ChildInfo {
    /// Returns what is told about `process`, living or not.
    fn of(process: &Process) -> Self {
        let time = process.cpu_time();
        let uid = process.tasks.first().map_or(process.uid, |task| task.credentials().uid);
        Self { pid: process.group.tgid(), uid, user_time: time.user, system_time: time.system }
    }

    /// Returns the signal `signal` about it: `status` is an exit code or a signal's number, by `code`.
    fn to_signal(self, signal: Signal, code: i32, status: i32) -> SignalInfo {
        let mut info = SignalInfo::new(signal, code).with_sender(number(self.pid), self.uid);
        info.fields[1] = u64::from(status.cast_unsigned());
        info.fields[2] = ticks(self.user_time);
        info.fields[3] = ticks(self.system_time);
        info
    }

    /// Returns the `SIGCHLD` of its end.
    pub(super) fn ended(self, status: ExitStatus) -> SignalInfo {
        const CLD_EXITED: i32 = 1;
        const CLD_KILLED: i32 = 2;
        const CLD_DUMPED: i32 = 3;
        match status {
            ExitStatus::Exited(code) => self.to_signal(Signal::CHLD, CLD_EXITED, i32::from(code)),
            ExitStatus::Signaled { signal, core_dumped } => {
                let code = if core_dumped { CLD_DUMPED } else { CLD_KILLED };
                self.to_signal(Signal::CHLD, code, i32::from(signal))
            }
        }
    }

    /// Returns the `SIGCHLD` of a change by job control.
    pub(super) fn job_change(self, report: JobReport) -> SignalInfo {
        const CLD_STOPPED: i32 = 5;
        const CLD_CONTINUED: i32 = 6;
        match report {
            JobReport::Stopped(signal) => {
                self.to_signal(Signal::CHLD, CLD_STOPPED, i32::from(signal.number()))
            }
            JobReport::Continued => {
                self.to_signal(Signal::CHLD, CLD_CONTINUED, i32::from(Signal::CONT.number()))
            }
        }
    }
}

/// Tells the process `parent` that its child `group` has ended. Returns whether the child is to vanish without being
/// waited for: the parent ignores `SIGCHLD` or has `SA_NOCLDWAIT` (`wait(2)`, "Notes").
pub(crate) fn notify_parent_of_exit(
    kernel: &Kernel,
    group: &ThreadGroup,
    parent: Pid,
    status: ExitStatus,
) -> bool {
    let tree = kernel.processes.lock();
    let (Some(parent), Some(child)) = (tree.process(parent), tree.process(group.tgid())) else { return true };
    let action = parent.tasks.first().map(|task| task.actions().get(Signal::CHLD)).unwrap_or_default();
    let is_unwanted = child.exit_signal == Signal::CHLD.number()
        && (action.handler == Handler::Ignore || action.flags.contains(ActionFlags::NOCLDWAIT));
    if let Ok(signal) = Signal::new(i32::from(child.exit_signal)) {
        let info = SignalInfo { signal, ..ChildInfo::of(child).ended(status) };
        let _ = send(&tree, parent, Target::Group, info, Origin::Inside);
    }
    parent.group.child_events.wake(Events::IN);
    is_unwanted
}

/// Tells `child` that its parent has ended, by the signal that it asked for (`prctl(2)`, `PR_SET_PDEATHSIG`); `reaper`
/// is the new one.
pub(crate) fn on_parent_exit(kernel: &Kernel, child: &ThreadGroup, reaper: Pid) {
    {
        let tree = kernel.processes.lock();
        let process = tree.process(child.tgid());
        for (process, task) in
            process.iter().flat_map(|process| process.tasks.iter().map(move |task| (process, task)))
        {
            let signal = task.attributes.lock().parent_death_signal;
            if let Some(signal) = signal {
                let info = SignalInfo::new(signal, SI_USER);
                let _ = send(&tree, process, Target::Group, info, Origin::Inside);
            }
        }
    }
    let zombie = kernel.processes.lock().process(child.tgid()).and_then(|process| process.zombie);
    if let Some(status) = zombie
        && notify_parent_of_exit(kernel, child, reaper, status)
    {
        kernel.processes.lock().reap(child.tgid());
    }
}

/// Tells the parent of `process` that it stopped or goes on.
pub(super) fn notify_job_change(tree: &Tree, process: &Process, report: JobReport) {
    let Some(parent) = tree.process(process.parent) else { return };
    let hides_stops = parent
        .tasks
        .first()
        .is_none_or(|task| task.actions().get(Signal::CHLD).flags.contains(ActionFlags::NOCLDSTOP));
    if !hides_stops {
        let info = ChildInfo::of(process).job_change(report);
        let _ = send(tree, parent, Target::Group, info, Origin::Inside);
    }
    parent.group.child_events.wake(Events::IN);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigchld_tells_code_status_and_ticks() {
        let child = ChildInfo {
            pid: 5,
            uid: 7,
            user_time: Duration::from_millis(1234),
            system_time: Duration::from_millis(19),
        };
        let info = child.ended(ExitStatus::Exited(42));
        assert_eq!((info.code, info.pid(), info.uid()), (1, 5, 7));
        assert_eq!(info.fields[1..4], [42, 123, 1]);
        let killed = child.ended(ExitStatus::Signaled { signal: 15, core_dumped: false });
        assert_eq!((killed.code, killed.fields[1]), (2, 15));
        let stopped = child.job_change(JobReport::Stopped(Signal::TSTP));
        assert_eq!((stopped.code, stopped.fields[1]), (5, 20));
    }
}
