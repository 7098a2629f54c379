//! Inodes of the kernel's own objects.

use std::fmt::Debug;
use std::sync::Arc;

use super::directory::OpenDirectory;
use super::text::OpenText;
use super::{Directory, KernFs, Text};
use crate::error::{Errno, Fail};
use crate::fs::{Anchors, Attributes, FileKind, FileOps, FileSystem, Inode, OpenCx, Path};
use crate::prelude::errno;
use crate::task::Task;

/// A symbolic link whose target is made when it is followed.
pub(crate) trait Link: Send + Sync + Debug {
    /// Returns the target as text.
    fn target(&self, task: &Task) -> Result<Vec<u8>, Errno>;

    /// Returns where it leads if that is no matter of names.
    fn path(&self, _task: &Task) -> Option<Result<Path, Errno>> {
        None
    }
}

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// A directory.
    Directory(Arc<dyn Directory>),
    /// A file of text.
    Text(Arc<dyn Text>),
    /// A symbolic link.
    Link(Arc<dyn Link>),
}

/// Who owns a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The user.
    pub(crate) uid: u32,
    /// The group.
    pub(crate) gid: u32,
}

/// An inode of one of the kernel's own objects.
#[derive(Debug)]
pub(crate) struct Node {
    file_system: Arc<KernFs>,
    inode: u64,
    permissions: u32,
    owner: Owner,
    content: Content,
    anchors: Anchors,
}

impl Node {
    /// Makes an inode with the number `inode` and the lower bits `permissions` of the mode.
    pub(crate) fn inode(
        file_system: &Arc<KernFs>,
        number: u64,
        permissions: u32,
        owner: Owner,
        content: Content,
    ) -> Arc<dyn Inode> {
        let file_system = Arc::clone(file_system);
        Arc::new(Self {
            file_system,
            inode: number,
            permissions,
            owner,
            content,
            anchors: Anchors::default(),
        })
    }
}

impl Inode for Node {
    fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::clone(&self.file_system) as Arc<_>
    }

    fn kind(&self) -> FileKind {
        match self.content {
            Content::Directory(_) => FileKind::Directory,
            Content::Text(_) => FileKind::Regular,
            Content::Link(_) => FileKind::Symlink,
        }
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        let time = self.file_system.created;
        let links = match &self.content {
            Content::Directory(_) => 2,
            Content::Text(_) | Content::Link(_) => 1,
        };
        Ok(Attributes {
            inode: self.inode,
            kind: self.kind(),
            permissions: self.permissions,
            links,
            uid: self.owner.uid,
            gid: self.owner.gid,
            device: (0, 0),
            size: 0,
            blocks: 0,
            block_bytes: 1024,
            accessed: time,
            modified: time,
            changed: time,
            created: None,
        })
    }

    /// Truncation by `open` has no effect, as in Linux' `/proc`; all else is fixed.
    fn set_attributes(&self, change: &crate::fs::AttributeChange) -> Result<(), Errno> {
        if change.size.is_some() && matches!(self.content, Content::Text(_)) {
            Ok(())
        } else {
            Err(errno::EPERM)
        }
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        match &self.content {
            Content::Directory(directory) => directory.lookup(&self.file_system, name),
            Content::Text(_) | Content::Link(_) => Err(errno::ENOTDIR),
        }
    }

    fn read_link(&self, task: &Task) -> Result<Vec<u8>, Errno> {
        match &self.content {
            Content::Link(link) => link.target(task),
            Content::Text(_) | Content::Directory(_) => Err(errno::EINVAL),
        }
    }

    fn magic_link(&self, task: &Task) -> Option<Result<Path, Errno>> {
        match &self.content {
            Content::Link(link) => link.path(task),
            Content::Text(_) | Content::Directory(_) => None,
        }
    }

    fn open(self: Arc<Self>, _cx: &OpenCx<'_>) -> Result<Box<dyn FileOps>, Fail> {
        match &self.content {
            Content::Directory(directory) => {
                Ok(Box::new(OpenDirectory::new(Arc::clone(directory), self.inode)))
            }
            Content::Text(text) => Ok(Box::new(OpenText::new(Arc::clone(text)))),
            Content::Link(_) => Err(errno::ELOOP.into()),
        }
    }

    fn anchors(&self) -> &Anchors {
        &self.anchors
    }
}
