//! What can go wrong with the state on disk.

use std::io;
use std::path::PathBuf;

use super::{ContainerId, Status};
use crate::cgroup::CgroupError;

/// The state on disk cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// There is no place to keep state.
    #[error("no state folder: XDG_RUNTIME_DIR is not set; name a folder with --root")]
    NoRoot,
    /// The state folder cannot be made or read.
    #[error("cannot use the state folder {path}: {source}; name another with --root")]
    Root {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A container of this id exists.
    #[error("container {0} exists already; `cloister delete {0}` removes it once it is stopped")]
    Exists(ContainerId),
    /// There is no container of this id.
    #[error("container {0} does not exist; `cloister list` shows those that do")]
    NotFound(ContainerId),
    /// The container's creation was not finished.
    #[error("container {0} was not created to the end; `cloister delete --force {0}` removes its remains")]
    Incomplete(ContainerId),
    /// A file of the container cannot be used.
    #[error("cannot {action} of container {id}: {source}")]
    File {
        /// The container.
        id: ContainerId,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// Its control group cannot be removed.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The container cannot get a signal. Its callers look for these words, which are `runc`'s.
    #[error("cannot signal container {0}: container not running")]
    NotRunning(ContainerId),
    /// The container is on the disk.
    #[error("cannot {action} container {id}: it is suspended; `cloister wake {id}` brings it back")]
    Suspended {
        /// The container.
        id: ContainerId,
        /// What was to be done.
        action: &'static str,
    },
    /// The container is in another state than the command needs.
    #[error("cannot {action} container {id}: it is {status}")]
    WrongStatus {
        /// The container.
        id: ContainerId,
        /// What was to be done.
        action: &'static str,
        /// The state it is in.
        status: Status,
    },
}
