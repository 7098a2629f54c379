//! Messages, descriptors and transports between Cloister's processes.
//!
//! | module | holds |
//! |---|---|
//! | [`version`] | the handshake that both ends pass before anything else is said |
//! | [`codec`] | messages to bytes and back, with limits |
//! | [`transport`] | packets with descriptors over `SOCK_SEQPACKET` sockets |
//! | [`control`] | what the runtime asks of a sandbox's kernel, and the answers |
//! | [`container`] | the plain description of a container that the kernel is given |
//! | [`snapshot`] | the form of snapshots on disk |
//!
//! Every message can come from a hostile peer: decoding never panics, never allocates more than a fixed bound, and
//! refuses bytes that are left over.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod bytes;
pub mod codec;
pub mod container;
pub mod control;
pub mod snapshot;
pub mod transport;
pub mod version;

pub use bytes::ByteString;
