//! The 9P2000.L wire format, Cloister's extensions to it, and a synchronous client.
//!
//! The gofer and boot speak this protocol over a stream socket. Its base is the standard 9P2000.L, byte for byte, so that
//! stock clients can talk to the gofer and [`Client`] can talk to stock servers. What the standard lacks is added by
//! messages of our own, which may be used only after both sides agreed on [`VERSION_CLOISTER`] in `Tversion`: above all
//! the reply to an open carries the host's file descriptor, so that reads, writes and mappings need no messages at all.
//!
//! * [`base`]: the standard messages, a file for each.
//! * [`ext`]: the extensions, a file for each.
//! * [`codec`]: how fields are put into bytes and taken out again. Decoding never panics, never allocates more than a
//!   small multiple of the message's length, and refuses bytes that are missing or left over.
//! * [`frame`] and [`transport`]: whole messages, and how they and descriptors cross a socket.
//! * [`client`]: typed requests, fid allocation, and the fallback to plain 9P2000.L.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod attr;
pub mod base;
pub mod client;
pub mod codec;
pub mod ext;
pub mod frame;
mod message;
pub mod qid;
pub mod transport;

#[cfg(test)]
mod tests;

pub use attr::{Attr, Time};
pub use client::{Client, ClientError};
pub use codec::Malformed;
pub use message::{Decode, Encode, Message, Request, Tmessage};
pub use qid::Qid;

/// The version string of the standard protocol.
pub const VERSION_PLAIN: &[u8] = b"9P2000.L";

/// The version string of the standard protocol with the first edition of Cloister's extensions.
pub const VERSION_CLOISTER: &[u8] = b"9P2000.L.cloister1";

/// The version string with which a server says that it speaks none of the versions offered (`version(5)`).
pub const VERSION_UNKNOWN: &[u8] = b"unknown";

/// The fid that stands for "none", used for `afid` where there is no authentication (`attach(5)`).
pub const NO_FID: u32 = u32::MAX;

/// The tag of `Tversion`, which no other message may have (`version(5)`).
pub const NO_TAG: u16 = u16::MAX;

/// The user id that stands for "not given" in `Tattach` and `Tauth`.
pub const NO_UID: u32 = u32::MAX;

/// The most names that one walk may hold (`walk(5)`, `MAXWELEM`).
pub const MAX_WALK: usize = 16;

/// The largest message that either side of ours accepts.
pub const MAX_MSIZE: u32 = 1 << 20;

/// The smallest `msize` that leaves room for every reply of fixed size and for names of `NAME_MAX` bytes.
pub const MIN_MSIZE: u32 = 4096;
