//! Files without a name: pipes, sockets, and objects such as eventfds.
//!
//! They live in file systems that are mounted nowhere, as in Linux: `pipefs`, `sockfs` and `anon_inodefs`. Their names
//! are labels that `/proc/PID/fd` tells: `pipe:[123]`, `socket:[5]`, `anon_inode:[eventfd]`.

mod file_system;
mod inode;
mod open;

pub(crate) use file_system::{AnonFileSystem, AnonKind};
pub(crate) use inode::AnonInode;
pub(crate) use open::{AnonFiles, install, install_object, install_pair, open_pipe, open_socket};
