//! Files: the virtual file system and the file systems below it.

mod vfs;

pub(crate) use vfs::*;
