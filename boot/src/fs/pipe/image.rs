//! The saved form of a pipe.

use serde::{Deserialize, Serialize};

use super::Access;
use super::buffer::Segment;

/// The saved form of an end of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PipeEndImage {
    pub(super) access: Access,
    pub(super) writers_before: u64,
}

/// The saved form of a pipe, without its ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PipeImage {
    /// Whether `pipe(2)` made it.
    pub(super) is_anonymous: bool,
    /// What can be read.
    pub(super) bytes: Vec<u8>,
    /// The packets and runs of stream bytes that these are.
    pub(super) segments: Vec<Segment>,
    /// The capacity in bytes.
    pub(super) capacity: usize,
    /// How many ends that can read, and that can write, there ever were.
    pub(super) ends_ever: (u64, u64),
}
