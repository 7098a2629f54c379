//! `Wait` and `WaitPid`: the end of a container or process.

use super::OnHangUp;
use crate::codec::{Decode, Encode};

/// Waits for the end of a container's first process; answered at once if it has ended. Errors: `NotFound`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Wait {
    /// The container's id.
    pub id: String,
    /// What becomes of the container when this connection is closed before its end.
    pub on_hang_up: OnHangUp,
}

/// Waits for the end of a process that [`Execute`](super::Execute) started. Errors: `NotFound`, also when another client
/// was told of its end before.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct WaitPid {
    /// The container's id.
    pub id: String,
    /// The process' id, as [`Execute`](super::Execute) told it.
    pub pid: i32,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ExitStatus {
    /// It exited with this code.
    Exited(u8),
    /// This signal ended it.
    Signaled(u8),
}

impl ExitStatus {
    /// The exit code by which shells tell it: 128 + N for signal N.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Signaled(signal) => signal.saturating_add(128),
        }
    }
}
