//! The timers of a process.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};

use cloister_sync::{Lock, class};
use serde::{Deserialize, Serialize};

use super::cpu_limit::CpuLimit;
use super::interval_timer::{IntervalTimer, IntervalTimerImage};
use super::posix_timer::PosixTimerImage;
use super::{ClockId, IntervalKind, Notify, PosixTimer, Setting};
use crate::kernel::Kernel;
use crate::signal::{Signal, SignalInfo};
use crate::task::{Pid, Resource, ThreadGroup, Tree};

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

/// What a checkpoint keeps of a process' timers. The watch over its limit of processor time follows from the limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupTimersImage {
    next_id: i32,
    posix: Vec<PosixTimerImage>,
    /// The interval timers, if any was ever set.
    intervals: Option<[IntervalTimerImage; 3]>,
}

impl GroupTimers {
    /// Returns what a checkpoint keeps.
    pub(crate) fn to_image(&self) -> GroupTimersImage {
        let (next_id, timers) = {
            let posix = self.posix.lock();
            (posix.next_id, posix.timers.values().cloned().collect::<Vec<_>>())
        };
        GroupTimersImage {
            next_id,
            posix: timers.iter().map(|timer| timer.to_image()).collect(),
            intervals: self.intervals.get().map(|timers| timers.each_ref().map(|timer| timer.to_image())),
        }
    }

    /// Makes the timers of the process `tgid`, `group`, anew; none runs yet. `None` if the image can't be one: an id is
    /// negative, or two timers have one.
    pub(crate) fn from_image(
        image: &GroupTimersImage,
        kernel: &Weak<Kernel>,
        tgid: Pid,
        group: &Weak<ThreadGroup>,
    ) -> Option<Self> {
        let mut posix = PosixTimers { next_id: image.next_id, timers: BTreeMap::new() };
        for timer in &image.posix {
            let made = PosixTimer::from_image(timer, Weak::clone(kernel), Weak::clone(group));
            let id = timer.id();
            if id < 0 || image.next_id < 0 || posix.timers.insert(id, made).is_some() {
                return None;
            }
        }
        let intervals = OnceLock::new();
        if let Some([real, user, profile]) = image.intervals {
            let [first, second, third] = IntervalKind::ALL;
            let make = |kind, image| IntervalTimer::from_image(kind, tgid, Weak::clone(kernel), image);
            let _ = intervals.set([make(first, real), make(second, user), make(third, profile)]);
        }
        Some(Self { posix: Lock::new(posix), intervals, cpu_limit: OnceLock::new() })
    }

    /// Lets timers that were made from an image run.
    pub(crate) fn start(&self, kernel: &Kernel, tree: &Tree) {
        let timers: Vec<_> = self.posix.lock().timers.values().cloned().collect();
        for timer in timers {
            timer.start(kernel, tree);
        }
        for timer in self.intervals.get().into_iter().flatten() {
            timer.start(kernel, tree);
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::saved;

    #[test]
    fn an_image_brings_them_back_and_a_bad_one_is_refused() {
        let timer = |id| PosixTimer::new(id, ClockId::Monotonic, Notify::Nobody, Weak::new(), Weak::new());
        let posix = PosixTimers { next_id: 5, timers: BTreeMap::from([(2, timer(2)), (4, timer(4))]) };
        let intervals =
            OnceLock::from(IntervalKind::ALL.map(|kind| IntervalTimer::new(kind, 7, Weak::new())));
        let timers = GroupTimers { posix: Lock::new(posix), intervals, cpu_limit: OnceLock::new() };

        let mut image = saved(&timers.to_image());
        let restored =
            |image: &GroupTimersImage| GroupTimers::from_image(image, &Weak::new(), 7, &Weak::new());
        let made = restored(&image).unwrap();
        assert_eq!(made.to_image(), timers.to_image());
        assert!(made.get(4).is_some() && made.get(3).is_none());

        image.posix.push(timer(2).to_image());
        assert!(restored(&image).is_none(), "two timers with one id");
    }
}
