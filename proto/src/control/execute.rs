//! `Execute`: another process in a running container.

use crate::codec::{Decode, Encode};
use crate::container::ProcessSpec;

/// Starts another process in a running container.
///
/// Descriptors: standard input, output and error. Its end is told by [`WaitPid`](super::WaitPid).
///
/// Errors: `NotFound`; `InvalidState` unless the container runs; `Execute` when the program cannot be executed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Execute {
    /// The container's id.
    pub id: String,
    /// The process.
    pub process: Box<ProcessSpec>,
}

/// Reply to [`Execute`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ExecuteReply {
    /// Process id in the sandbox's root namespace.
    pub pid: i32,
}
