//! `Pause` and `Resume`: the whole sandbox stands still, or goes on.

use crate::codec::{Decode, Encode};

/// Freezes all tasks of the sandbox; answered when the last stands still. `SIGKILL` still ends them.
///
/// Errors: `NotFound`; `InvalidState` unless the container runs, or if the sandbox is resumed meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Pause {
    /// The container's id.
    pub id: String,
}

/// Lets a frozen sandbox go on. Errors: `NotFound`; `InvalidState` if it is not frozen.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Resume {
    /// The container's id.
    pub id: String,
}
