//! `Pause` and `Resume`: the whole sandbox stands still, or goes on.

use crate::codec::{Decode, Encode};

/// Freezes all tasks of the sandbox; answered when the last stands still. Errors: `InvalidState` if it is frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Pause;

/// Lets a frozen sandbox go on. Errors: `InvalidState` if it is not frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Resume;
