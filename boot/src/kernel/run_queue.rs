//! The tasks that were woken and wait for a worker.

use std::collections::VecDeque;
use std::sync::Arc;

use cloister_sync::{Lock, class};

use super::Reactor;
use crate::task::Task;

/// The tasks that were woken and wait for a worker, oldest first.
#[derive(Debug, Default)]
pub(crate) struct RunQueue {
    tasks: Lock<VecDeque<Arc<Task>>, { class::RUN_QUEUE }>,
}

impl RunQueue {
    /// Appends a task. A worker that sleeps in the reactor is told by the `reactor`.
    pub(crate) fn push(&self, task: Arc<Task>, reactor: &Reactor) {
        let was_empty = {
            let mut tasks = self.tasks.lock();
            tasks.push_back(task);
            tasks.len() == 1
        };
        if was_empty {
            reactor.notify();
        }
    }

    /// Takes the oldest task that `may_run`, which is asked without a lock.
    pub(crate) fn pop_if(&self, may_run: impl Fn(&Task) -> bool) -> Option<Arc<Task>> {
        let mut waiting = std::mem::take(&mut *self.tasks.lock());
        let found = waiting.iter().position(|task| may_run(task)).and_then(|at| waiting.remove(at));
        let mut tasks = self.tasks.lock();
        waiting.append(&mut tasks);
        *tasks = waiting;
        found
    }

    /// Takes the oldest task.
    pub(crate) fn pop(&self) -> Option<Arc<Task>> {
        self.tasks.lock().pop_front()
    }
}
