//! The inodes of files without a name.

use std::sync::Arc;

use cloister_sync::{Lock, class};

use super::{AnonFileSystem, AnonKind};
use crate::error::{Errno, Fail, fail};
use crate::fs::pipe::{Access, Pipe, PipeEnd};
use crate::fs::{
    Anchors, AttributeChange, Attributes, Change, FileKind, FileOps, FileSystem, Inode, OpenCx, Timestamp,
};
use crate::prelude::errno;

/// The inode of a file without a name.
#[derive(Debug)]
pub(crate) struct AnonInode {
    file_system: Arc<AnonFileSystem>,
    kind: FileKind,
    attributes: Lock<Attributes, { class::INODE }>,
    anchors: Anchors,
}

impl AnonInode {
    /// Makes an inode that belongs to the user `uid` and the group `gid`.
    pub(crate) fn new(file_system: Arc<AnonFileSystem>, uid: u32, gid: u32, now: Timestamp) -> Self {
        let (kind, permissions) = match file_system.kind() {
            AnonKind::Pipe => (FileKind::Fifo, 0o600),
            AnonKind::Socket => (FileKind::Socket, 0o777),
            AnonKind::Object => (FileKind::Anonymous, 0o600),
        };
        let attributes = Attributes {
            inode: file_system.new_inode_number(),
            kind,
            permissions,
            links: 1,
            uid,
            gid,
            device: (0, 0),
            size: 0,
            blocks: 0,
            block_bytes: 4096,
            accessed: now,
            modified: now,
            changed: now,
            created: None,
        };
        Self { file_system, kind, attributes: Lock::new(attributes), anchors: Anchors::default() }
    }

    /// Makes an inode as it was saved.
    pub(super) fn with_attributes(file_system: Arc<AnonFileSystem>, attributes: Attributes) -> Self {
        file_system.reserve_inode_number(attributes.inode);
        let kind = attributes.kind;
        Self { file_system, kind, attributes: Lock::new(attributes), anchors: Anchors::default() }
    }

    /// Returns its number.
    pub(crate) fn number(&self) -> u64 {
        self.attributes.lock().inode
    }
}

impl Inode for AnonInode {
    fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::clone(&self.file_system) as Arc<_>
    }

    fn kind(&self) -> FileKind {
        self.kind
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(*self.attributes.lock())
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<(), Errno> {
        if change.size.is_some() {
            return Err(errno::EINVAL);
        }
        let mut attributes = self.attributes.lock();
        attributes.permissions = change.permissions.unwrap_or(attributes.permissions);
        attributes.uid = change.uid.unwrap_or(attributes.uid);
        attributes.gid = change.gid.unwrap_or(attributes.gid);
        if let Some(Change::To(time)) = change.accessed {
            attributes.accessed = time;
        }
        if let Some(Change::To(time)) = change.modified {
            attributes.modified = time;
        }
        Ok(())
    }

    /// Opens it through `/proc/PID/fd`.
    fn open(self: Arc<Self>, cx: &OpenCx<'_>) -> Result<Box<dyn FileOps>, Fail> {
        let object = self.anchors.get().and_then(|anchors| anchors.object.lock().clone());
        match object.and_then(|object| object.downcast::<Pipe>().ok()) {
            Some(pipe) => Ok(Box::new(PipeEnd::new(pipe, Access::of(cx.flags)))),
            None => Err(fail(errno::ENXIO, "can't be opened by a path")),
        }
    }

    fn anchors(&self) -> &Anchors {
        &self.anchors
    }
}
