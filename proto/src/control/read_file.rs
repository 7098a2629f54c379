//! `ReadFile`: a file of a container.

use crate::ByteString;
use crate::codec::{Decode, Encode};

/// Reads a part of a regular file as the container's superuser.
///
/// Errors: `NotFound`; `InvalidState` if the container has no process; `Os` if there is no such file, or it is none that can
/// be read to an end.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReadFile {
    /// The container's id.
    pub id: String,
    /// Path from the container's root.
    pub path: ByteString,
    /// Where to begin.
    pub offset: u64,
    /// Most bytes; a reply may have fewer. One without any is at the end of the file.
    pub size: u32,
}

/// Reply to [`ReadFile`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReadFileReply {
    /// What was read.
    pub bytes: Vec<u8>,
}
