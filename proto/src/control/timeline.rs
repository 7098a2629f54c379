//! `Timeline`: where the time of a start goes.

use crate::codec::{Decode, Encode};

/// Tells when the kernel had done which step of its start, and of the start of its first container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Timeline;

/// Reply to [`Timeline`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TimelineReply {
    /// The steps that are done, in their order.
    pub marks: Vec<Mark>,
}

/// A step that is done.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Mark {
    /// What is done.
    pub step: String,
    /// When, in nanoseconds of the host's `CLOCK_MONOTONIC`.
    pub at: u64,
}
