//! A thread group: what POSIX calls a process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cloister_platform::CpuTime;
use cloister_sync::{Lock, LockGuard, class};
use serde::{Deserialize, Serialize};

use super::{ExitStatus, Pid, Process, Resource, Rlimits, TaskSet};
use crate::event::{Events, WaitQueue};
use crate::kernel::Kernel;
use crate::signal::GroupSignals;
use crate::time::GroupTimers;

/// A thread group: what POSIX calls a process. Its relations are in the
/// [`ProcessTree`](super::ProcessTree).
#[derive(Debug)]
pub(crate) struct ThreadGroup {
    tgid: Pid,
    tasks: Arc<TaskSet>,
    state: Lock<GroupState, { class::THREAD_GROUP }>,
    rlimits: Lock<Rlimits, { class::RLIMITS }>,
    /// Woken when a child changes its state (`wait4(2)`).
    pub(crate) child_events: WaitQueue,
    /// Woken when one of its threads ends and others are left (`execve(2)` waits for that).
    pub(crate) thread_events: WaitQueue,
    /// Woken when the group itself ends (pidfds, the control protocol's `Wait`).
    pub(crate) end_events: WaitQueue,
    /// Woken when a signal is sent to the group or to one of its tasks (`sigtimedwait(2)`, `signalfd(2)`).
    pub(crate) signal_events: WaitQueue,
    /// Its timers.
    pub(crate) timers: GroupTimers,
    has_ended: AtomicBool,
}

/// What the threads of a group share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupState {
    /// Set once the group is to end: all its tasks leave with this status.
    pub(crate) exit: Option<ExitStatus>,
    /// The task that executes a program: all others leave.
    pub(crate) executing: Option<Pid>,
    /// Signals for any of its threads, and the job control state.
    pub(crate) signals: GroupSignals,
    /// The processor time of its threads that have ended.
    pub(crate) ended_threads_time: CpuTime,
    /// The processor time of its children that have ended and were waited for, theirs included.
    pub(crate) children_time: CpuTime,
    /// How the host's out-of-memory killer should see it, from -1000 (never) to 1000 (first).
    pub(crate) oom_score_adj: i16,
    leader_status: Option<ExitStatus>,
}

impl GroupState {
    /// Takes note of the end of a thread that used `time`.
    pub(super) fn note_exit(&mut self, is_leader: bool, status: ExitStatus, time: CpuTime) {
        if is_leader {
            self.leader_status = Some(status);
        }
        self.ended_threads_time = self.ended_threads_time + time;
    }

    /// Returns whether the task `tid` is to leave, since another one executes a program.
    pub(crate) fn leaves_for_exec(&self, tid: Pid) -> bool {
        self.executing.is_some_and(|executing| executing != tid)
    }

    /// Takes note that the executing task is the only one left.
    pub(super) fn finish_exec(&mut self) {
        self.executing = None;
        self.leader_status = None;
    }

    /// Returns how the process ended, all of whose threads have: as the group was told to, or as its first thread did.
    pub(super) fn final_status(&self) -> ExitStatus {
        self.exit.or(self.leader_status).unwrap_or(ExitStatus::Exited(0))
    }
}

impl ThreadGroup {
    /// Makes a group without threads, whose tasks are of the container with `tasks`.
    pub(crate) fn new(tgid: Pid, tasks: Arc<TaskSet>) -> Self {
        Self::with_timers(tgid, tasks, GroupTimers::default())
    }

    /// As [`ThreadGroup::new`], with these timers.
    pub(super) fn with_timers(tgid: Pid, tasks: Arc<TaskSet>, timers: GroupTimers) -> Self {
        Self {
            tgid,
            tasks,
            state: Lock::new(GroupState::default()),
            rlimits: Lock::default(),
            child_events: WaitQueue::new(),
            thread_events: WaitQueue::new(),
            end_events: WaitQueue::new(),
            signal_events: WaitQueue::new(),
            timers,
            has_ended: AtomicBool::new(false),
        }
    }

    /// Makes the group of a process that the one of `maker` forks.
    pub(super) fn for_fork(tgid: Pid, maker: &Self) -> Self {
        let group = Self { rlimits: Lock::new(maker.rlimits()), ..Self::new(tgid, Arc::clone(&maker.tasks)) };
        let oom_score_adj = maker.state().oom_score_adj;
        group.state().oom_score_adj = oom_score_adj;
        group
    }

    /// Says whether all its threads had ended when it was saved.
    pub(super) fn restore_end(&self, has_ended: bool) {
        self.has_ended.store(has_ended, Ordering::Release);
    }

    /// Returns its resource limits.
    pub(crate) fn rlimits(&self) -> Rlimits {
        *self.rlimits.lock()
    }

    /// Returns what holds of a resource limit.
    pub(crate) fn rlimit(&self, resource: Resource) -> u64 {
        self.rlimits.lock().get(resource).soft
    }

    /// Returns its resource limits, to be changed.
    pub(crate) fn rlimits_mut(&self) -> LockGuard<'_, Rlimits> {
        self.rlimits.lock()
    }

    /// Returns how many signals can be queued for it (`RLIMIT_SIGPENDING`).
    pub(crate) fn signal_limit(&self) -> usize {
        // Whatever the limit is, the kernel's memory is bounded.
        const MOST: u64 = 1 << 17;
        usize::try_from(self.rlimit(Resource::PendingSignals).min(MOST)).unwrap_or(0)
    }

    /// Returns its id.
    pub(crate) fn tgid(&self) -> Pid {
        self.tgid
    }

    /// Returns the tasks of the container that it is in.
    pub(crate) fn tasks(&self) -> &Arc<TaskSet> {
        &self.tasks
    }

    /// Returns the processor time of all its threads, those that have ended included.
    pub(crate) fn cpu_time(&self, kernel: &Kernel) -> CpuTime {
        kernel.processes.lock().process(self.tgid).map(Process::cpu_time).unwrap_or_default()
    }

    /// Returns whether all its threads have ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Says that all its threads have ended, and wakes who waits for that.
    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
        self.end_events.wake(Events::READABLE);
    }

    /// Returns access to what its threads share.
    pub(crate) fn state(&self) -> LockGuard<'_, GroupState> {
        self.state.lock()
    }
}
