//! The tasks of a container.

use std::sync::atomic::{AtomicU64, Ordering};

use cloister_platform::CpuTime;
use cloister_sync::{Lock, class};
use serde::{Deserialize, Serialize};

use super::PidNamespace;
use crate::control::Freezer;

/// The tasks of a container: whatever a process of it makes is of the same one. How many they are, how many they may be,
/// what they have used, and whether they stand still.
#[derive(Debug)]
pub(crate) struct TaskSet {
    id: u32,
    /// The namespace that numbers them.
    pub(crate) pid_namespace: PidNamespace,
    /// Whether they stand still.
    pub(crate) freezer: Freezer,
    nr_tasks: AtomicU64,
    /// `u64::MAX`: without a limit.
    limit: AtomicU64,
    ended_time: Lock<CpuTime, { class::TASK_SET }>,
}

/// The saved form of a [`TaskSet`]: its tasks are counted as they come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskSetImage {
    id: u32,
    pid_namespace: PidNamespace,
    limit: Option<u64>,
    ended_time: CpuTime,
}

impl TaskSet {
    /// Makes a set without tasks. `id` tells it from others in a checkpoint.
    pub(crate) fn new(id: u32, pid_namespace: PidNamespace, limit: Option<u64>) -> Self {
        Self {
            id,
            pid_namespace,
            freezer: Freezer::default(),
            nr_tasks: AtomicU64::new(0),
            limit: AtomicU64::new(limit.unwrap_or(u64::MAX)),
            ended_time: Lock::default(),
        }
    }

    /// Returns what tells it from others in a checkpoint.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Returns how many tasks there are.
    pub(crate) fn nr_tasks(&self) -> u64 {
        self.nr_tasks.load(Ordering::Relaxed)
    }

    /// Returns whether there may be another task.
    pub(super) fn has_room(&self) -> bool {
        self.nr_tasks() < self.limit.load(Ordering::Relaxed)
    }

    /// Returns how many tasks there may be; `None` is without a limit.
    pub(crate) fn limit(&self) -> Option<u64> {
        Some(self.limit.load(Ordering::Relaxed)).filter(|limit| *limit != u64::MAX)
    }

    /// Sets how many tasks there may be; `None` is without a limit.
    pub(crate) fn set_limit(&self, limit: Option<u64>) {
        self.limit.store(limit.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Takes note of a task that came; with the tree locked.
    pub(super) fn note_added(&self) {
        self.nr_tasks.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes note of a task that has ended; with the tree locked.
    pub(super) fn note_removed(&self) {
        let one_less = |nr_tasks: u64| nr_tasks.checked_sub(1);
        let removed = self.nr_tasks.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        debug_assert!(removed.is_ok(), "a task is removed that was not added");
    }

    /// Takes note of the processor time of a process that has ended.
    pub(super) fn add_ended_time(&self, time: CpuTime) {
        let mut ended = self.ended_time.lock();
        *ended = *ended + time;
    }

    /// Returns the processor time of the processes that have ended.
    pub(crate) fn ended_time(&self) -> CpuTime {
        *self.ended_time.lock()
    }

    /// Returns what a checkpoint keeps.
    pub(crate) fn to_image(&self) -> TaskSetImage {
        let limit = self.limit();
        let (pid_namespace, ended_time) = (self.pid_namespace, self.ended_time());
        TaskSetImage { id: self.id, pid_namespace, limit, ended_time }
    }

    /// Makes it anew, without tasks.
    pub(crate) fn from_image(image: TaskSetImage) -> Self {
        let set = Self::new(image.id, image.pid_namespace, image.limit);
        set.add_ended_time(image.ended_time);
        set
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::saved;

    #[test]
    fn a_limit_is_for_the_tasks_of_the_set() {
        let set = TaskSet::new(0, PidNamespace::default(), Some(2));
        set.note_added();
        assert!(set.has_room());
        set.note_added();
        assert!(!set.has_room());
        set.set_limit(None);
        assert!(set.has_room());
        set.note_removed();
        set.set_limit(Some(2));
        assert!(set.has_room());
    }

    #[test]
    fn it_comes_back() {
        let set = TaskSet::new(3, PidNamespace::all().nth(2).unwrap(), Some(9));
        let second = Duration::from_secs(1);
        set.add_ended_time(CpuTime { user: second, system: second });
        let image = saved(&set.to_image());
        let again = TaskSet::from_image(image);
        assert_eq!(again.to_image(), set.to_image());
        assert_eq!((again.id(), again.nr_tasks()), (3, 0));
    }
}
