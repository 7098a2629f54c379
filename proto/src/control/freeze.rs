//! `Pause`, `Resume` and `Hold`: a container stands still, or goes on.

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

/// Ties a container to the connection, so that it never stands still with nobody to let it go on. When the connection is
/// closed, the sandbox ends if the donated file has two names or more by then: the container is on the disk, and the second name
/// says so. Otherwise it does what `otherwise` says.
///
/// Descriptors: the file, or none. Errors: `NotFound`; `InvalidArgument` for a wrong number of descriptors.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Hold {
    /// The container's id.
    pub id: String,
    /// What becomes of it if the file has one name.
    pub otherwise: Otherwise,
}

/// What becomes of a container that was [held](Hold) and is not to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Otherwise {
    /// It goes on if it is frozen.
    GoesOn,
    /// It stays as it is.
    Stays,
}
