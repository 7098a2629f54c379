//! Files: the virtual file system and the file systems below it.

pub(crate) mod anon;
mod byte_ring;
pub(crate) mod cgroup;
pub(crate) mod dev;
pub(crate) mod devpts;
pub(crate) mod gofer;
pub(crate) mod host;
pub(crate) mod kernfs;
pub(crate) mod overlay;
pub(crate) mod pipe;
pub(crate) mod proc;
pub(crate) mod sys;
pub(crate) mod tmpfs;
mod vfs;

pub(crate) use byte_ring::ByteRing;
pub(crate) use vfs::*;
