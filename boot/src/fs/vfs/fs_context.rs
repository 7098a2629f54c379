//! Root, current directory and umask of tasks.

use cloister_sync::{Lock, class};

use super::Path;

/// What tasks with `CLONE_FS` share.
#[derive(Debug)]
pub(crate) struct FsContext {
    state: Lock<FsState, { class::FS_CONTEXT }>,
}

#[derive(Clone, Debug)]
struct FsState {
    root: Path,
    cwd: Path,
    umask: u32,
}

impl FsContext {
    /// Makes a context.
    pub(crate) fn new(root: Path, cwd: Path, umask: u32) -> Self {
        Self { state: Lock::new(FsState { root, cwd, umask }) }
    }

    /// Returns a copy of `other`, for a fork.
    pub(crate) fn copy_of(other: &Self) -> Self {
        Self { state: Lock::new(other.state.lock().clone()) }
    }

    /// Returns the root directory.
    pub(crate) fn root(&self) -> Path {
        self.state.lock().root.clone()
    }

    /// Returns the current directory.
    pub(crate) fn cwd(&self) -> Path {
        self.state.lock().cwd.clone()
    }

    /// Returns the bits that new files do not get.
    pub(crate) fn umask(&self) -> u32 {
        self.state.lock().umask
    }
}
