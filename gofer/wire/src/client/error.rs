//! How a request can fail.

use std::io;

use crate::codec::{Malformed, TooLong};

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server refused it with this Linux error number. The connection goes on.
    #[error("the file server answered with {}", rustix::io::Errno::from_raw_os_error(.0.cast_signed()))]
    Errno(u32),
    /// The server broke the protocol. The connection is shut down.
    #[error("the file server broke the protocol")]
    Protocol(#[from] ProtocolError),
    /// The connection failed. It is shut down.
    #[error("the connection to the file server failed")]
    Io(#[from] io::Error),
}

/// How the server broke the protocol.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The answer could not be decoded.
    #[error("its answer is malformed")]
    Malformed(#[from] Malformed),
    /// The answer is not of the type that belongs to the request.
    #[error("it answered with a message of type {0}")]
    WrongType(u8),
    /// The answer is for another request.
    #[error("it answered a request that was not made (tag {0})")]
    WrongTag(u16),
    /// More bytes came than the answer has.
    #[error("it sent more than its answer")]
    Unasked,
    /// The answer promises a descriptor, and none came.
    #[error("its answer lacks the descriptor that it promises")]
    NoDescriptor,
    /// The answer has more elements than were asked for, or a length that cannot be.
    #[error("its answer does not fit the request")]
    Mismatch,
    /// No version of the protocol is spoken by both sides.
    #[error("it does not speak 9P2000.L")]
    Version,
}

impl From<TooLong> for ClientError {
    /// A name or value that does not fit into a request is as wrong as one that is too long for Linux.
    fn from(TooLong: TooLong) -> Self {
        Self::Errno(rustix::io::Errno::NAMETOOLONG.raw_os_error().cast_unsigned())
    }
}

impl From<Malformed> for ClientError {
    fn from(cause: Malformed) -> Self {
        Self::Protocol(cause.into())
    }
}
