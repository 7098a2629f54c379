//! The timers of a process.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use cloister_sync::{Lock, class};

use super::cpu_limit::CpuLimit;
use super::interval_timer::IntervalTimer;
use super::{ClockId, IntervalKind, Notify, PosixTimer, Setting};
use crate::kernel::Kernel;
use crate::signal::{Signal, SignalInfo};
use crate::task::{Resource, ThreadGroup, Tree};

/// The timers of a process: none of them is inherited by a child.
#[derive(Debug, Default)]
pub(crate) struct GroupTimers {
    posix: Lock<PosixTimers, { class::TIMER }>,
    intervals: OnceLock<[Arc<IntervalTimer>; 3]>,
    cpu_limit: OnceLock<Arc<CpuLimit>>,
}

#[derive(Debug, Default)]
struct PosixTimers {
    next_id: i32,
    timers: BTreeMap<i32, Arc<PosixTimer>>,
}

impl GroupTimers {
    /// Makes a POSIX timer of the process `group`, unless it has `limit` of them. `notify` is told its id.
    pub(crate) fn create(
        &self,
        kernel: &Arc<Kernel>,
        group: &Arc<ThreadGroup>,
        clock: ClockId,
        limit: usize,
        notify: impl FnOnce(i32) -> Notify,
    ) -> Option<i32> {
        let mut posix = self.posix.lock();
        if posix.timers.len() >= limit {
            return None;
        }
        while posix.timers.contains_key(&posix.next_id) {
            posix.next_id = posix.next_id.checked_add(1).unwrap_or(0);
        }
        let id = posix.next_id;
        posix.next_id = id.checked_add(1).unwrap_or(0);
        let timer = PosixTimer::new(id, clock, notify(id), Arc::downgrade(kernel), Arc::downgrade(group));
        posix.timers.insert(id, timer);
        Some(id)
    }

    /// Returns the POSIX timer `id`.
    pub(crate) fn get(&self, id: i32) -> Option<Arc<PosixTimer>> {
        self.posix.lock().timers.get(&id).cloned()
    }

    /// Removes the POSIX timer `id`. Returns whether there was one.
    pub(crate) fn remove(&self, id: i32) -> bool {
        let removed = self.posix.lock().timers.remove(&id);
        removed.is_some()
    }

    /// Sets an interval timer. Returns what was left.
    pub(crate) fn set_interval(
        &self,
        kernel: &Arc<Kernel>,
        tree: &Tree,
        group: &ThreadGroup,
        kind: IntervalKind,
        setting: Setting,
    ) -> Setting {
        let tgid = group.tgid();
        let intervals = self.intervals.get_or_init(|| {
            IntervalKind::ALL.map(|kind| IntervalTimer::new(kind, tgid, Arc::downgrade(kernel)))
        });
        intervals[kind as usize].set(kernel, tree, setting)
    }

    /// Returns what is left of an interval timer.
    pub(crate) fn interval(&self, kernel: &Kernel, tree: &Tree, kind: IntervalKind) -> Setting {
        self.intervals.get().map(|timers| timers[kind as usize].left(kernel, tree)).unwrap_or_default()
    }

    /// Looks after the limit of the processor time of `group`, if it has one: called when a limit is set or inherited.
    pub(crate) fn watch_cpu_limit(&self, kernel: &Arc<Kernel>, group: &ThreadGroup) {
        if group.rlimit(Resource::Cpu) != u64::MAX {
            let tree = kernel.processes.lock();
            let limit = self.cpu_limit.get_or_init(|| CpuLimit::new(group.tgid(), Arc::downgrade(kernel)));
            limit.look(kernel, &tree);
        }
    }

    /// Lets a timer whose signal was taken go on, and says in the signal how many expirations it stands for.
    pub(crate) fn on_taken(&self, kernel: &Kernel, tree: &Tree, info: &mut SignalInfo) {
        if let Some(timer) = info.timer.and_then(|id| self.get(id)) {
            *info = info.with_overrun(timer.on_taken(kernel, tree));
        }
        if info.signal == Signal::ALRM {
            self.on_alarm_taken(kernel, tree);
        }
    }

    /// Lets timers whose signals were thrown away go on.
    pub(crate) fn on_discarded(&self, kernel: &Kernel, tree: &Tree, discarded: &[SignalInfo]) {
        for info in discarded {
            self.on_taken(kernel, tree, &mut info.clone());
        }
    }

    fn on_alarm_taken(&self, kernel: &Kernel, tree: &Tree) {
        if let Some(timers) = self.intervals.get() {
            timers[IntervalKind::Real as usize].on_taken(kernel, tree);
        }
    }

    /// Removes what does not survive `execve(2)`: POSIX timers.
    pub(crate) fn on_exec(&self) {
        let timers = std::mem::take(&mut self.posix.lock().timers);
        drop(timers);
    }

    /// Stops all timers: the process has ended.
    pub(crate) fn stop(&self) {
        self.on_exec();
        for timer in self.intervals.get().into_iter().flatten() {
            timer.stop();
        }
    }
}
