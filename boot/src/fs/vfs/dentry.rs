//! Names in the tree.

use std::sync::Arc;

use super::{Inode, Mount};

/// A name in the tree of a file system.
#[derive(Debug)]
pub(crate) struct Dentry {
    inode: Arc<dyn Inode>,
}

impl Dentry {
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
