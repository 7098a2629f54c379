//! Waiting for one of several files: what `poll` and `select` have in common.

use std::sync::Arc;

use super::Events;
use crate::context::SyscallCx;
use crate::error::{Fail, Restart};
use crate::fs::OpenFile;
use crate::time::Instant;

/// How a look at files is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// To see what is ready.
    Only,
    /// Also to be woken by what becomes ready from now on.
    AndRegister,
}

impl Look {
    /// Returns which of `mask`, and of [`Events::ALWAYS`], `file` has.
    pub(crate) fn at(self, cx: &mut SyscallCx<'_>, file: &Arc<OpenFile>, mask: Events) -> Events {
        if self == Self::AndRegister
            && let Some(queue) = file.ops().poll_queue()
        {
            cx.wake_on(queue, mask);
        }
        file.ops().poll(file) & (mask | Events::ALWAYS)
    }
}

/// Waits until `scan`, which looks at files, finds some that are ready; returns how many. Returns 0 once `deadline` has
/// passed.
///
/// # Errors
///
/// Those of `scan`.
pub(crate) fn wait_for_any(
    cx: &mut SyscallCx<'_>,
    deadline: Option<Instant>,
    restart: Restart,
    mut scan: impl FnMut(&mut SyscallCx<'_>, Look) -> Result<usize, Fail>,
) -> Result<usize, Fail> {
    // Most calls that look find something: registering is for those that don't.
    let has_passed = |cx: &SyscallCx<'_>| deadline.is_some_and(|at| at <= cx.kernel().clock.monotonic());
    let ready = scan(cx, Look::Only)?;
    if ready > 0 || has_passed(cx) {
        return Ok(ready);
    }
    let ready = scan(cx, Look::AndRegister)?;
    if ready > 0 || has_passed(cx) { Ok(ready) } else { Err(cx.park(deadline, restart)) }
}
