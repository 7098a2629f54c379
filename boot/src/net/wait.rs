//! Waiting for sockets.

use std::time::Duration;

use crate::context::SyscallCx;
use crate::error::{Fail, Restart, fail};
use crate::event::{Events, WaitQueue};
use crate::prelude::errno;
use crate::syscall::SyscallState;
use crate::time::Instant;

/// A transfer that may have to wait more than once.
///
/// What was moved, and until when it may wait, is kept over waits in [`SyscallState::Transfer`].
#[derive(Debug)]
pub(crate) struct Transfer {
    /// How many bytes (or messages) were moved.
    pub(crate) moved: usize,
    deadline: Option<Instant>,
    limit: Option<Duration>,
    is_non_blocking: bool,
    is_registered: bool,
}

impl Transfer {
    /// Begins a transfer, or goes on with it. It waits at most for `limit`, and not at all if `is_non_blocking`.
    pub(crate) fn new(cx: &SyscallCx<'_>, limit: Option<Duration>, is_non_blocking: bool) -> Self {
        let (moved, deadline) = match cx.state() {
            Some(SyscallState::Transfer { moved, deadline }) => (*moved, *deadline),
            _ => (0, limit.map(|limit| cx.kernel().clock.monotonic().saturating_add(limit))),
        };
        Self { moved, deadline, limit, is_non_blocking, is_registered: false }
    }

    /// Begins a transfer that is a part of another one, which waits for it.
    pub(crate) fn new_non_blocking() -> Self {
        Self { moved: 0, deadline: None, limit: None, is_non_blocking: true, is_registered: false }
    }

    /// Returns whether it goes on after a part of it was moved.
    pub(crate) fn may_wait(&self) -> bool {
        !self.is_non_blocking
    }

    /// Takes the failure of an attempt: returns `Ok` if it is to be tried again at once, because the caller has only now
    /// been registered with `queue`.
    ///
    /// # Errors
    ///
    /// The failure by which the call waits or ends. A part that was moved is no failure: see [`Transfer::end`].
    pub(crate) fn retry(
        &mut self,
        cx: &mut SyscallCx<'_>,
        failure: Fail,
        queue: &WaitQueue,
        events: Events,
    ) -> Result<(), Fail> {
        if self.is_non_blocking || !failure.is(errno::EAGAIN) {
            return Err(failure);
        }
        if !std::mem::replace(&mut self.is_registered, true) {
            cx.wake_exclusively_on(queue, events);
            return Ok(());
        }
        if self.deadline.is_some_and(|deadline| deadline <= cx.kernel().clock.monotonic()) {
            return Err(failure);
        }
        cx.set_state(SyscallState::Transfer { moved: self.moved, deadline: self.deadline });
        match cx.park(self.deadline, Restart::Sys) {
            // A wait with a limit would begin anew if it were restarted.
            Fail::Restart(_) if self.limit.is_some() => Err(fail(errno::EINTR, "a signal arrived")),
            failure => Err(failure),
        }
    }

    /// Returns what the call ends with if it fails with `failure`: what was moved before, if anything.
    ///
    /// # Errors
    ///
    /// `failure` if nothing was moved, or if the call waits.
    pub(crate) fn end(&self, failure: Fail) -> Result<usize, Fail> {
        if self.moved > 0 && !matches!(failure, Fail::Park(_)) { Ok(self.moved) } else { Err(failure) }
    }
}
