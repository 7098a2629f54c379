//! The file server of a container: 9P2000.L over stream sockets, with Cloister's extensions.
//!
//! A hostile guest's kernel is the client, so that every message is hostile input, and every name in it is one component
//! that is looked up beneath a directory already held, never through a symbolic link.
//!
//! ```text
//! serve (poll loop) ── Connection (bytes) ── Session (fids, version) ── ops::* (one file per family of requests)
//!                                                                         │
//!                                              Tree (what is served) ── Node (an O_PATH descriptor and its place)
//! ```
//!
//! * [`tree`]: what a connection may reach. * [`node`]: a file found there.
//! * [`session`]: the fids of a connection, and the dispatch of requests to `ops`.
//! * [`connection`] and [`serve`]: bytes in and out, without ever blocking on one client while others wait.
//! * [`sandbox`]: how the process gives up what it does not need.
//!
//! One thread does everything; there are no locks.

mod attr;
pub mod cli;
pub mod connection;
mod fid;
mod name;
pub mod node;
mod ops;
pub mod sandbox;
pub mod serve;
pub mod session;
pub mod setup;
mod sys;
pub mod tree;

/// What a request ends with: an error goes to the client as `Rlerror`.
type Result<T> = std::result::Result<T, rustix::io::Errno>;
