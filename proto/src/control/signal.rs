//! `Signal`: signals into a container.

use crate::codec::{Decode, Encode};

/// Sends a signal as the container's superuser does.
///
/// `SIGKILL` ends a container that was not started as well.
///
/// Errors: `NotFound`; `InvalidState` if there is no process that it could go to; `InvalidArgument` for a signal outside 1 to 64.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Signal {
    /// The container's id.
    pub id: String,
    /// Linux' number of the signal.
    pub signal: i32,
    /// Who gets it.
    pub target: SignalTarget,
}

/// Who gets a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SignalTarget {
    /// The first process.
    Init,
    /// All processes of the container.
    All,
    /// The foreground process group of this process' terminal, or its own group if it has no terminal; 0 is the first process.
    ForegroundGroup(i32),
    /// One process, by the id that [`Execute`](super::Execute) or [`Processes`](super::Processes) told.
    Process(i32),
}
