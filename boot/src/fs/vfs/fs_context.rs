//! Root, current directory and umask of tasks.

use std::sync::Arc;

use cloister_sync::{Lock, class};

use super::{MountNamespace, Path};

/// What tasks with `CLONE_FS` share.
#[derive(Debug)]
pub(crate) struct FsContext {
    state: Lock<FsState, { class::FS_CONTEXT }>,
}

#[derive(Clone, Debug)]
struct FsState {
    /// Keeps the namespace alive: mounts know it only weakly.
    namespace: Arc<MountNamespace>,
    root: Path,
    cwd: Path,
    umask: u32,
}

impl FsContext {
    /// Makes a context in a mount namespace, in which the two paths are.
    pub(crate) fn new(namespace: Arc<MountNamespace>, root: Path, cwd: Path, umask: u32) -> Self {
        Self { state: Lock::new(FsState { namespace, root, cwd, umask }) }
    }

    /// Moves the context to a copy of its mount namespace (`CLONE_NEWNS`).
    pub(crate) fn unshare_namespace(&self) {
        let before = self.state.lock().clone();
        let (namespace, copies) = before.namespace.copy();
        let moved = |path: &Path| match copies.get(&path.mount.id) {
            Some(copy) => Path::new(Arc::clone(copy), Arc::clone(&path.dentry)),
            None => path.clone(),
        };
        let (root, cwd) = (moved(&before.root), moved(&before.cwd));
        let replaced = {
            let mut state = self.state.lock();
            let umask = state.umask;
            std::mem::replace(&mut *state, FsState { namespace, root, cwd, umask })
        };
        drop((before, replaced));
    }

    /// Returns the mount namespace.
    pub(crate) fn namespace(&self) -> Arc<MountNamespace> {
        Arc::clone(&self.state.lock().namespace)
    }

    /// Returns a copy of `other`, for a fork.
    pub(crate) fn copy_of(other: &Self) -> Self {
        Self { state: Lock::new(other.state.lock().clone()) }
    }

    /// Returns the root directory.
    pub(crate) fn root(&self) -> Path {
        self.state.lock().root.clone()
    }

    /// Returns the root directory, and the bits that new files do not get.
    pub(crate) fn root_and_umask(&self) -> (Path, u32) {
        let state = self.state.lock();
        (state.root.clone(), state.umask)
    }

    /// Sets the root directory.
    pub(crate) fn set_root(&self, root: Path) {
        let before = std::mem::replace(&mut self.state.lock().root, root);
        drop(before);
    }

    /// Returns the current directory.
    pub(crate) fn cwd(&self) -> Path {
        self.state.lock().cwd.clone()
    }

    /// Sets the current directory.
    pub(crate) fn set_cwd(&self, cwd: Path) {
        let before = std::mem::replace(&mut self.state.lock().cwd, cwd);
        drop(before);
    }

    /// Puts `new` in place of the root and the current directory where they are `old` (`pivot_root(2)`).
    pub(crate) fn replace(&self, old: &Path, new: &Path) {
        let mut state = self.state.lock();
        let before = state.clone();
        if state.root.is_same(old) {
            state.root = new.clone();
        }
        if state.cwd.is_same(old) {
            state.cwd = new.clone();
        }
        drop(state);
        drop(before);
    }

    /// Returns the bits that new files do not get.
    pub(crate) fn umask(&self) -> u32 {
        self.state.lock().umask
    }

    /// Sets the bits that new files do not get, and returns those before.
    pub(crate) fn set_umask(&self, umask: u32) -> u32 {
        std::mem::replace(&mut self.state.lock().umask, umask & 0o777)
    }
}
