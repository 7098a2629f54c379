//! The messages that Cloister adds, valid after both sides agreed on [`crate::VERSION_CLOISTER`].
//!
//! A descriptor travels as `SCM_RIGHTS` beside the first byte of the reply that promises it (`unix(7)`).

pub mod clunk_many;
pub mod create_fd;
pub mod getxattr;
pub mod listxattr;
pub mod make;
pub mod open_fd;
pub mod readdir_attr;
pub mod removexattr;
pub mod rename2;
pub mod run_on;
pub mod setxattr;
pub mod statx;
pub mod syncfs;
pub mod walk_attr;

/// The lowest type number of the extensions; the standard's are below 128.
pub const FIRST_TYPE: u8 = 200;
