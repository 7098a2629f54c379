//! A task's place between guest code, a worker, and sleep.
//!
//! ```text
//!            trap                    parks
//!   User ───────────> Kernel ──────────────────> Parked
//!    ^                 │  ^                        │ woken, kicked
//!    └─────────────────┘  └───────── Queued <──────┘
//!         resumed          a worker
//! ```

use std::sync::Arc;

use cloister_abi::Registers;
use cloister_platform::Thread;

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Its thread runs guest code.
    User,
    /// A worker handles it.
    Kernel,
    /// It waits.
    Parked,
    /// It was woken and waits for a worker.
    Queued,
    /// It has ended.
    Dead,
}

/// A task's place, and what reached it there.
#[derive(Debug)]
pub(super) struct Schedule {
    place: Place,
    /// Something that it registered with woke it while a worker handled it: it must not park.
    woken: bool,
    /// Something is to be looked at before guest code goes on: signals, a stop, an exit.
    kicked: bool,
    thread: Option<Arc<dyn Thread>>,
}

impl Schedule {
    /// Returns the place of a new task, whose worker is the caller.
    pub(super) fn new() -> Self {
        Self { place: Place::Kernel, woken: false, kicked: false, thread: None }
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    pub(super) fn thread(&self) -> Option<&Arc<dyn Thread>> {
        self.thread.as_ref()
    }

    /// Sets the thread that runs the task's guest code, and returns the one before.
    pub(super) fn replace_thread(&mut self, thread: Option<Arc<dyn Thread>>) -> Option<Arc<dyn Thread>> {
        std::mem::replace(&mut self.thread, thread)
    }

    /// Puts a new task, or one that may not go on now, among those that wait for a worker.
    pub(super) fn start(&mut self) {
        self.place = Place::Queued;
    }

    /// A worker takes the task, from guest code or from the run queue, and will look at signals before guest code goes on.
    pub(super) fn begin(&mut self) {
        if self.place != Place::Dead {
            self.place = Place::Kernel;
        }
        self.woken = false;
        self.kicked = false;
    }

    /// Wakes it: returns whether this is what woke it, and whether it must be queued.
    pub(super) fn wake(&mut self) -> (bool, bool) {
        match self.place {
            Place::Parked => {
                self.place = Place::Queued;
                (true, true)
            }
            Place::Kernel => (!std::mem::replace(&mut self.woken, true), false),
            Place::User | Place::Queued | Place::Dead => (false, false),
        }
    }

    /// Makes it look at its signals soon, wherever it is. Returns whether it must be queued.
    pub(super) fn kick(&mut self) -> bool {
        self.kicked = true;
        if self.place == Place::User
            && let Some(thread) = &self.thread
        {
            thread.interrupt();
        }
        self.wake().1
    }

    /// Stops its guest code, if it runs any, so that it comes to its worker. Returns whether it ran.
    pub(super) fn halt(&self) -> bool {
        let thread = self.thread.as_ref().filter(|_| self.place == Place::User);
        thread.inspect(|thread| thread.interrupt()).is_some()
    }

    /// Parks it, unless it was woken since its worker took it. Returns whether it parked.
    pub(super) fn try_park(&mut self) -> bool {
        if std::mem::take(&mut self.woken) {
            return false;
        }
        self.place = Place::Parked;
        true
    }

    /// Lets guest code go on, unless it was kicked: then signals are to be looked at (again). Returns whether it runs.
    pub(super) fn try_resume(&mut self, registers: &Registers) -> bool {
        let Some(thread) = &self.thread else { return false };
        if std::mem::take(&mut self.kicked) {
            return false;
        }
        self.place = Place::User;
        thread.resume(registers);
        true
    }

    /// Ends it.
    pub(super) fn end(&mut self) {
        self.place = Place::Dead;
        if let Some(thread) = self.thread.take() {
            thread.exit();
        }
    }
}
