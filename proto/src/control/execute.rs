//! `Execute`: another process in a running container.

use crate::codec::{Decode, Encode};
use crate::container::ProcessSpec;

/// Starts another process in a running container.
///
/// Descriptors: standard input, output and error, then [`ProcessSpec::preserved`] others. Its end is told by [`WaitPid`](super::WaitPid).
///
/// Errors: `NotFound`; `InvalidState` unless the container runs; `Execute` when the program cannot be executed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Execute {
    /// The container's id.
    pub id: String,
    /// The process.
    pub process: Box<ProcessSpec>,
    /// Whether a container that is paused is as good as one that runs: the process waits for the end of the pause.
    pub ignore_paused: bool,
    /// What becomes of the process when this connection is closed before its end.
    pub on_hang_up: OnHangUp,
}

/// What becomes of a process, or a container, when a connection is closed before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum OnHangUp {
    /// It goes on.
    GoOn,
    /// It is killed: who started it stands for it on the host, and was killed itself.
    Kill,
}

/// Reply to [`Execute`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ExecuteReply {
    /// Process id as the container's PID namespace numbers it.
    pub pid: i32,
}
