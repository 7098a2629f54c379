//! `Pause` and `Resume`: the sandbox stands still, or goes on.
//!
//! While the sandbox is frozen no task is let go into guest code and none is taken from the run queue, but for those that
//! are being killed; timers are late until the thaw. Tasks that wait go on waiting: what wakes them puts them into the run
//! queue as ever. Requests to freeze and thaw are handled by the worker, between tasks.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use cloister_proto::control::{Done, ErrorKind, Failure, Status};
use cloister_sync::{Lock, class};

use super::container::Replier;
use crate::kernel::Kernel;

/// Whether the sandbox is frozen, and who waits until it stands still.
#[derive(Debug, Default)]
pub(crate) struct Freezer {
    is_frozen: AtomicBool,
    /// Tasks that are still in guest code.
    nr_running: AtomicUsize,
    waiters: Lock<Vec<Replier>, { class::CONTAINERS }>,
}

impl Freezer {
    /// Returns whether the sandbox is frozen, or about to be.
    pub(crate) fn is_frozen(&self) -> bool {
        self.is_frozen.load(Ordering::Relaxed)
    }

    /// Takes note that a task has left guest code, and was not let go again if the sandbox is frozen.
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

/// Freezes the sandbox. `replier` answers when the last task stands still.
///
/// # Errors
///
/// As [`Pause`](cloister_proto::control::Pause) says.
pub(super) fn pause(kernel: &Kernel, id: &str, replier: Replier) -> Result<(), Failure> {
    let problem = match kernel.containers.get(id)?.state(kernel).status {
        Status::Running => None,
        Status::Paused => Some("is paused already"),
        Status::Created | Status::Stopped => Some("does not run"),
    };
    if let Some(problem) = problem {
        return Err(Failure::new(ErrorKind::InvalidState, format!("container `{id}` {problem}")));
    }
    let freezer = &kernel.freezer;
    freezer.is_frozen.store(true, Ordering::Relaxed);
    freezer.waiters.lock().push(replier);
    let tasks: Vec<_> = kernel.processes.lock().tasks().cloned().collect();
    let nr_running = tasks.iter().filter(|task| task.halt()).count();
    freezer.nr_running.store(nr_running, Ordering::Relaxed);
    if nr_running == 0 {
        freezer.answer(&Ok(Done));
    }
    Ok(())
}

/// Lets a frozen sandbox go on.
///
/// # Errors
///
/// As [`Resume`](cloister_proto::control::Resume) says.
pub(super) fn resume(kernel: &Kernel, id: &str) -> Result<(), Failure> {
    kernel.containers.get(id)?;
    let freezer = &kernel.freezer;
    if !freezer.is_frozen.swap(false, Ordering::Relaxed) {
        return Err(Failure::new(ErrorKind::InvalidState, format!("container `{id}` is not paused")));
    }
    freezer
        .answer(&Err(Failure::new(ErrorKind::InvalidState, "the sandbox was resumed before it stood still")));
    kernel.reactor.notify();
    Ok(())
}
