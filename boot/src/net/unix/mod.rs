//! Unix sockets (`unix(7)`).
//!
//! | type | is |
//! |---|---|
//! | [`UnixSocket`] | a socket of any type: its queue, options and name, and a [`stream`] or [`datagram`] body |
//! | [`image::UnixSocketImage`] | its saved form |
//! | [`Names`] | the abstract names |
//!
//! A name in the file system is an inode; its anchor refers weakly to the socket that is bound to it.

mod datagram;
mod image;
mod names;
mod socket;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use image::{UnixLinks, UnixSocketImage};
pub(crate) use names::Names;
pub(crate) use socket::{Identity, UnixSocket};
