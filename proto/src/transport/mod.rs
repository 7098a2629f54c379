//! Packets with descriptors between two processes on one host.
//!
//! A packet is one `SOCK_SEQPACKET` datagram: two header bytes (version and kind), then the message. Descriptors travel beside
//! it by `SCM_RIGHTS`. A message that is larger than a packet is put into a sealed memory file, whose descriptor is the
//! packet's last.

mod adopt;
mod error;
mod frame;
mod seqpacket;
#[cfg(feature = "tokio")]
mod tokio;

#[cfg(feature = "tokio")]
pub use self::tokio::AsyncConnection;
pub use adopt::adopt;
pub use error::TransportError;
pub use frame::{MAX_DESCRIPTORS, MAX_PACKET};
pub use seqpacket::{Connection, Listener, Received};
