//! `Pause` and `Resume`: a container stands still, or goes on.

use crate::codec::{Decode, Encode};

/// Freezes all tasks of a container; answered when the last stands still. `SIGKILL` still ends them.
///
/// Errors: `NotFound`; `InvalidState` unless the container runs, or if it is resumed meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Pause {
    /// The container's id.
    pub id: String,
}

/// Lets a frozen container go on. Errors: `NotFound`; `InvalidState` if it is not frozen.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Resume {
    /// The container's id.
    pub id: String,
}
