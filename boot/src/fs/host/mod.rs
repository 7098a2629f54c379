//! Descriptors of the host as files of the guest: the standard input, output and error that the sandbox was given.
//!
//! Other processes of the host share these descriptions: the user's shell has the same terminal, other commands write to
//! the same file. So their flags are left alone (no `O_NONBLOCK`), and the position of a regular file is the
//! description's own. The kernel never waits in a read or write: see [`HostDescriptor`].
//!
//! | host file | guest file |
//! |---|---|
//! | regular file | [`HostFile`]: positions, `mmap`, `fsync` as usual |
//! | pipe, socket, other devices | [`HostStream`] |
//! | terminal | [`HostStream`] with a [`Terminal`]: settings go to the host's, job control is the guest's |

mod descriptor;
mod file;
mod inode;
mod open;
mod stream;
mod terminal;
#[cfg(test)]
mod tests;

pub(crate) use descriptor::HostDescriptor;
pub(crate) use file::HostFile;
pub(crate) use inode::HostInode;
pub(crate) use open::{HostFiles, open_stdio};
pub(crate) use stream::HostStream;
pub(crate) use terminal::Terminal;
