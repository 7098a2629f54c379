//! Names in the tree.

use std::sync::Arc;

use super::{Inode, Mount};

/// A name in the tree of a file system.
#[derive(Debug)]
pub(crate) struct Dentry {
    inode: Arc<dyn Inode>,
}

impl Dentry {
    /// Makes the root of the tree of a file system.
    pub(crate) fn new_root(inode: Arc<dyn Inode>) -> Arc<Self> {
        Self::new_unnamed(inode, b"")
    }

    /// Makes a dentry that stands in no directory (a pipe, an `O_TMPFILE`); `label` is what `/proc/PID/fd` tells.
    pub(crate) fn new_unnamed(inode: Arc<dyn Inode>, _label: &[u8]) -> Arc<Self> {
        Arc::new(Self { inode })
    }

    /// Returns the object that the name stands for.
    pub(crate) fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }
}

/// A name as seen through a mount.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    /// The mount.
    pub(crate) mount: Arc<Mount>,
    /// The name.
    pub(crate) dentry: Arc<Dentry>,
}
