//! What a waiting system call keeps while it waits.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::task::Pid;
use crate::time::Instant;

/// What a waiting system call keeps while it waits, so that its handler can be run again from the top. Plain data:
/// a checkpoint saves it with the task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SyscallState {
    /// The time-out was turned into this point in time (`None`: it waits for ever).
    Deadline(Option<Instant>),
    /// The sleep ends when its clock shows this.
    Until(Duration),
    /// So many bytes were moved before the call had to wait.
    Moved(u64),
    /// A transfer has moved so many bytes (or messages), and waits until a deadline for more, or for room.
    Transfer {
        /// How many.
        moved: usize,
        /// When its time-out ends.
        deadline: Option<Instant>,
    },
    /// The process with this id was made, and the caller waits until it executes a program or ends (`vfork`).
    Vforked(Pid),
    /// The caller waits for the other threads of its process to end, and then executes a program (`execve`): there is no
    /// way back.
    Executing,
}
