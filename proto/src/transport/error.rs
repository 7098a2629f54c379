//! What can go wrong on a connection.

use std::io;

use crate::codec::CodecError;

/// A packet could not be sent or received.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The system refused an operation on the socket.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The message cannot be encoded or decoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The packet or its descriptors did not fit the receiver's buffers: the peer does not keep to the protocol.
    #[error("the peer sent a packet above the limit")]
    Truncated,
    /// The packet's header is not one that this version knows.
    #[error(
        "the peer sent a packet of unknown form (version {version}, kind {kind}); is it of another build?"
    )]
    UnknownFrame {
        /// The header's version byte.
        version: u8,
        /// The header's kind byte.
        kind: u8,
    },
    /// The packet says that its message is in a memory file, but that is missing or not a sealed one.
    #[error("the peer sent a large message without a sealed memory file")]
    BadMemoryFile,
    /// More descriptors than one packet may carry.
    #[error("{0} descriptors are too many for one packet")]
    TooManyDescriptors(usize),
    /// The descriptor is not a sequenced-packet socket.
    #[error("the descriptor is not a SOCK_SEQPACKET socket")]
    WrongSocketType,
}

impl TransportError {
    /// Wraps the failure of a system call.
    pub(crate) fn io(action: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| Self::Io { action, source: errno.into() }
    }
}
