//! `Pause`, `Resume` and `Hold`: a container stands still, or goes on.
//!
//! While a container is frozen no task of it is let go into guest code and none is taken from the run queue, but for those
//! that are being killed. Tasks that wait go on waiting: what wakes them puts them into the run queue as ever. Timers are late
//! until the thaw if all of the sandbox is frozen; otherwise what they do to a frozen container is found by it then. Requests to
//! freeze and thaw are handled by the worker, between tasks.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use cloister_proto::control::{Done, ErrorKind, Failure, Hold, Otherwise, Status};
use cloister_sync::{Lock, class};

use super::container::Replier;
use crate::kernel::Kernel;

/// Whether a container is frozen, and who waits until it stands still.
#[derive(Debug, Default)]
pub(crate) struct Freezer {
    is_frozen: AtomicBool,
    /// Tasks that are still in guest code.
    nr_running: AtomicUsize,
    waiters: Lock<Vec<Replier>, { class::CONTAINERS }>,
}

impl Freezer {
    /// Returns whether the container is frozen, or about to be.
    pub(crate) fn is_frozen(&self) -> bool {
        self.is_frozen.load(Ordering::Relaxed)
    }

    /// Has a container that no task runs in yet begin frozen.
    pub(super) fn begin_frozen(&self, kernel: &Kernel) {
        self.is_frozen.store(true, Ordering::Relaxed);
        kernel.containers.note_frozen();
    }

    /// Returns whether the container is frozen and no task of it is in guest code any more.
    pub(crate) fn stands_still(&self) -> bool {
        self.is_frozen() && self.nr_running.load(Ordering::Relaxed) == 0
    }

    /// Takes note that a task has left guest code, and was not let go again if the container is frozen.
    pub(crate) fn note_stop(&self) {
        if !self.is_frozen() {
            return;
        }
        let one_less = |nr_running: usize| nr_running.checked_sub(1);
        if self.nr_running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less) == Ok(1) {
            self.answer(&Ok(Done));
        }
    }

    fn answer(&self, result: &Result<Done, Failure>) {
        let waiters = std::mem::take(&mut *self.waiters.lock());
        for waiter in waiters {
            waiter.reply(result.clone().map(Into::into));
        }
    }
}

/// Freezes a container. `replier` answers when the last task stands still.
///
/// # Errors
///
/// As [`Pause`](cloister_proto::control::Pause) says.
pub(super) fn pause(kernel: &Kernel, id: &str, replier: Replier) -> Result<(), Failure> {
    let container = kernel.containers.get(id)?;
    let problem = match container.state().status {
        Status::Running => None,
        Status::Paused => Some("is paused already"),
        Status::Created | Status::Stopped => Some("does not run"),
    };
    if let Some(problem) = problem {
        return Err(Failure::new(ErrorKind::InvalidState, format!("container `{id}` {problem}")));
    }
    let freezer = &container.tasks.freezer;
    freezer.is_frozen.store(true, Ordering::Relaxed);
    kernel.containers.note_frozen();
    freezer.waiters.lock().push(replier);
    let tasks: Vec<_> = kernel.processes.lock().tasks_of(&container.tasks).cloned().collect();
    let nr_running = tasks.iter().filter(|task| task.halt()).count();
    freezer.nr_running.store(nr_running, Ordering::Relaxed);
    if nr_running == 0 {
        freezer.answer(&Ok(Done));
    }
    Ok(())
}

/// Lets a frozen container go on.
///
/// # Errors
///
/// As [`Resume`](cloister_proto::control::Resume) says.
pub(super) fn resume(kernel: &Kernel, id: &str) -> Result<(), Failure> {
    if !thaw(kernel, &kernel.containers.get(id)?.tasks.freezer) {
        return Err(Failure::new(ErrorKind::InvalidState, format!("container `{id}` is not paused")));
    }
    Ok(())
}

/// Lets what `freezer` holds go on. Returns whether it was frozen.
pub(super) fn thaw(kernel: &Kernel, freezer: &Freezer) -> bool {
    if !freezer.is_frozen.swap(false, Ordering::Relaxed) {
        return false;
    }
    kernel.containers.note_thawed();
    let message = "the container was resumed before it stood still";
    freezer.answer(&Err(Failure::new(ErrorKind::InvalidState, message)));
    kernel.reactor.notify();
    true
}

/// A container that does not stand still for longer than a connection lives.
#[derive(Debug)]
pub(super) struct Held {
    id: String,
    otherwise: Otherwise,
    /// It has a second name once the container is on the disk.
    file: Option<OwnedFd>,
}

impl Held {
    /// Holds a container.
    ///
    /// # Errors
    ///
    /// As [`Hold`] says.
    pub(super) fn new(
        kernel: &Kernel,
        request: Hold,
        mut descriptors: Vec<OwnedFd>,
    ) -> Result<Self, Failure> {
        let Hold { id, otherwise } = request;
        kernel.containers.get(&id)?;
        let file = descriptors.pop();
        if !descriptors.is_empty() {
            return Err(Failure::new(
                ErrorKind::InvalidArgument,
                "a container is held with one file at most",
            ));
        }
        Ok(Self { id, otherwise, file })
    }

    /// Ends the sandbox if the container is on the disk, or else lets it go on.
    pub(super) fn let_go(self, kernel: &Kernel) {
        let is_on_disk = match self.file.map(rustix::fs::fstat) {
            None => false,
            Some(Ok(stat)) => stat.st_nlink > 1,
            Some(Err(error)) => {
                tracing::error!(%error, "can't see whether a container was suspended: it goes on");
                false
            }
        };
        if is_on_disk {
            kernel.finish();
        } else if self.otherwise == Otherwise::GoesOn
            && let Ok(container) = kernel.containers.get(&self.id)
        {
            thaw(kernel, &container.tasks.freezer);
        }
    }
}
