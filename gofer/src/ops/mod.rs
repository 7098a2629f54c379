//! What the requests do, a file for each family.
//!
//! Every handler is a method of [`Session`](crate::session::Session) named like its request. Handlers change nothing of
//! the session unless they succeed, but for `Tclunk` and `Tremove`, which always forget their fid.

mod attach;
mod attr;
mod clunk;
mod create;
mod dir;
mod io;
mod lock;
mod make;
mod names;
mod open;
mod run_on;
mod walk;
mod xattr;
