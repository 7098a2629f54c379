//! The tasks that were woken and wait for a worker.

use std::collections::VecDeque;
use std::sync::Arc;

use cloister_sync::{Lock, class};

use super::Reactor;
use crate::task::Task;

/// The tasks that were woken and wait for a worker, oldest first.
#[derive(Debug, Default)]
pub(crate) struct RunQueue {
    queue: Lock<Queue, { class::RUN_QUEUE }>,
}

#[derive(Debug, Default)]
struct Queue {
    tasks: VecDeque<Arc<Task>>,
    worker: Worker,
}

/// What the worker knows of the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Worker {
    /// It has looked since the last task came.
    #[default]
    HasLooked,
    /// It has not, and does before it sleeps.
    IsToLook,
    /// It sleeps in the reactor, or is about to.
    Sleeps,
}

impl RunQueue {
    /// Appends a task. A worker that sleeps is told by the `reactor`.
    pub(crate) fn push(&self, task: Arc<Task>, reactor: &Reactor) {
        let before = {
            let mut queue = self.queue.lock();
            queue.tasks.push_back(task);
            std::mem::replace(&mut queue.worker, Worker::IsToLook)
        };
        if before == Worker::Sleeps {
            reactor.notify();
        }
    }

    /// Takes the oldest task that `may_run`, which is asked without a lock.
    pub(crate) fn pop_if(&self, may_run: impl Fn(&Task) -> bool) -> Option<Arc<Task>> {
        let mut waiting = {
            let mut queue = self.queue.lock();
            queue.worker = Worker::HasLooked;
            std::mem::take(&mut queue.tasks)
        };
        let found = waiting.iter().position(|task| may_run(task)).and_then(|at| waiting.remove(at));
        let mut queue = self.queue.lock();
        waiting.append(&mut queue.tasks);
        queue.tasks = waiting;
        found
    }

    /// Takes the oldest task.
    pub(crate) fn pop(&self) -> Option<Arc<Task>> {
        let mut queue = self.queue.lock();
        queue.worker = Worker::HasLooked;
        queue.tasks.pop_front()
    }

    /// Lets the worker sleep in the reactor, unless a task came since it found none to run. Returns whether it may.
    pub(crate) fn may_sleep(&self) -> bool {
        let mut queue = self.queue.lock();
        let may_sleep = queue.worker != Worker::IsToLook;
        if may_sleep {
            queue.worker = Worker::Sleeps;
        }
        may_sleep
    }
}
