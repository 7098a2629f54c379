//! Names as seen through mounts, and their text.

use std::sync::Arc;

use super::{Dentry, Inode, Mount};

/// A name as seen through a mount.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    /// The mount.
    pub(crate) mount: Arc<Mount>,
    /// The name.
    pub(crate) dentry: Arc<Dentry>,
}

/// The text of a path, seen from a root directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathText {
    /// The absolute path; for an object that stands in no directory, its label.
    pub(crate) text: Vec<u8>,
    /// Whether the root directory is above it.
    pub(crate) is_reachable: bool,
    /// Whether the name was removed.
    pub(crate) is_removed: bool,
}

impl PathText {
    /// Returns the text as `/proc` shows it: ` (deleted)` behind what was removed.
    pub(crate) fn for_proc(mut self) -> Vec<u8> {
        if self.is_removed {
            self.text.extend_from_slice(b" (deleted)");
        }
        self.text
    }
}

impl Path {
    /// Makes a path.
    pub(crate) fn new(mount: Arc<Mount>, dentry: Arc<Dentry>) -> Self {
        Self { mount, dentry }
    }

    /// Returns the object.
    pub(crate) fn inode(&self) -> &Arc<dyn Inode> {
        self.dentry.inode()
    }

    /// Returns whether both are the same name in the same mount.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.dentry, &other.dentry) && Arc::ptr_eq(&self.mount, &other.mount)
    }

    /// Returns whether it is the root of its mount.
    pub(crate) fn is_mount_root(&self) -> bool {
        Arc::ptr_eq(&self.dentry, &self.mount.root)
    }

    /// Returns the same mount's name `dentry`.
    pub(crate) fn with_dentry(&self, dentry: Arc<Dentry>) -> Self {
        Self { mount: Arc::clone(&self.mount), dentry }
    }

    /// Returns what is mounted here, on top of everything.
    pub(crate) fn into_mounted(self) -> Self {
        let mut path = self;
        while path.dentry.may_be_mount_point()
            && let Some(namespace) = path.mount.namespace()
            && let Some(mount) = namespace.mounted_at(&path)
        {
            path = Self { dentry: Arc::clone(&mount.root), mount };
        }
        path
    }

    /// Returns the directory above, over mount points but not over `root`; `None` at `root` and at the top.
    pub(crate) fn parent(&self, root: &Self) -> Option<Self> {
        let mut path = self.clone();
        loop {
            if path.is_same(root) {
                return None;
            }
            if !path.is_mount_root() {
                let parent = path.dentry.parent()?;
                return Some(path.with_dentry(parent));
            }
            path = path.mount.mount_point()?;
        }
    }

    /// Returns whether it is `other` or stands below it, over mount points.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        let mut path = self.clone();
        loop {
            if Arc::ptr_eq(&path.mount, &other.mount) {
                return path.dentry.is_within(&other.dentry);
            }
            match path.mount.mount_point() {
                Some(point) => path = point,
                None => return false,
            }
        }
    }

    /// Returns its text as seen from the directory `root` (`getcwd(2)`, `/proc/PID/fd/N`).
    pub(crate) fn to_text(&self, root: &Self) -> PathText {
        let is_removed = self.dentry.is_removed();
        // Built from the end; the components' bytes are reversed at last as a whole.
        let mut reversed: Vec<u8> = Vec::with_capacity(64);
        let mut path = self.clone();
        let is_reachable = loop {
            if path.is_same(root) {
                break true;
            }
            if path.is_mount_root() {
                match path.mount.mount_point() {
                    Some(point) => path = point,
                    None => break false,
                }
                continue;
            }
            let (parent, name) = path.dentry.place();
            let Some(parent) = parent else { break false };
            reversed.extend(name.iter().rev());
            reversed.push(b'/');
            path = path.with_dentry(parent);
        };
        let label = path.dentry.name();
        if !is_reachable && reversed.is_empty() && !label.is_empty() {
            return PathText { text: label.into_vec(), is_reachable: true, is_removed };
        }
        if reversed.is_empty() {
            reversed.push(b'/');
        }
        reversed.reverse();
        PathText { text: reversed, is_reachable, is_removed }
    }
}
