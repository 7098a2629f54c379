//! `Hello`: the version handshake.

use crate::codec::{Decode, Encode};
use crate::version::Handshake;

/// Opens the conversation: the client says who it is; the kernel answers with its own [`Handshake`], or with an error of
/// kind `Version` and hangs up.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Hello {
    /// The client's handshake.
    pub handshake: Handshake,
}
