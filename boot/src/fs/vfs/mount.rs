//! Mounts.

use std::sync::Arc;

use bitflags::bitflags;
use serde::{Deserialize, Serialize};

use super::{Dentry, FileSystem};

bitflags! {
    /// What a mount forbids (`mount(2)`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub(crate) struct MountFlags: u64 {
        /// No writes.
        const READ_ONLY = 1;
        /// Set-id bits have no effect.
        const NO_SUID = 2;
        /// Devices can't be opened.
        const NO_DEVICES = 4;
        /// Files can't be executed.
        const NO_EXECUTE = 8;
        /// The access time is not updated.
        const NO_ACCESS_TIME = 1024;
        /// The access time of directories is not updated.
        const NO_DIRECTORY_ACCESS_TIME = 2048;
        /// The access time is updated only if it was earlier than the last change.
        const RELATIVE_ACCESS_TIME = 1 << 21;
    }
}

/// A file system that is attached to the tree.
#[derive(Debug)]
pub(crate) struct Mount {
    /// Its id in `/proc/PID/mountinfo`.
    pub(crate) id: u32,
    /// The file system.
    pub(crate) file_system: Arc<dyn FileSystem>,
    /// Its root as seen here: a bind mount can show a part.
    pub(crate) root: Arc<Dentry>,
    /// What `/proc/mounts` tells as its source.
    pub(crate) source: String,
    /// What it forbids.
    pub(crate) flags: MountFlags,
}
