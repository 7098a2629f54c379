//! How a task waits.

use crate::error::Restart;
use crate::time::Instant;

/// How a task waits in a system call: until one of the queues it registered with wakes it, the deadline passes,
/// or a signal is to be handled. Then the call's handler runs again from the top, with the
/// [`SyscallState`](crate::syscall::SyscallState) that it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Park {
    /// When to wake up at the latest. The handler finds out by itself that it has passed.
    pub(crate) deadline: Option<Instant>,
    /// What becomes of the call when a signal interrupts it.
    pub(crate) restart: Restart,
}
