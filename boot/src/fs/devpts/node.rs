//! The devices: `ptmx`, and a name for each terminal.

use std::sync::{Arc, Weak};

use cloister_sync::{Lock, class};

use super::{Devpts, Directory, ptmx};
use crate::error::{Errno, Fail, fail};
use crate::fs::{
    Anchors, AttributeChange, Attributes, FileKind, FileOps, FileSystem, Inode, OpenCx, Timestamp,
};
use crate::prelude::errno;
use crate::tty::{Terminal, job_control};

/// A device of devpts.
#[derive(Debug)]
pub(super) struct Node {
    file_system: Arc<Devpts>,
    device: Device,
    attributes: Lock<Attributes, { class::INODE }>,
    anchors: Anchors,
}

/// What a device is.
#[derive(Clone, Debug)]
pub(super) enum Device {
    /// What makes new terminals in this directory.
    Ptmx(Weak<Directory>),
    /// A terminal.
    Terminal(Weak<dyn Terminal>),
}

/// Who owns a new device, and what the others may.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rights {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) permissions: u32,
}

impl Node {
    /// Makes the inode `inode` for the device with the number `number`.
    pub(super) fn new(
        file_system: &Arc<Devpts>,
        inode: u64,
        number: (u32, u32),
        device: Device,
        rights: Rights,
    ) -> Arc<Self> {
        let now = Timestamp::now();
        let attributes = Attributes {
            inode,
            kind: FileKind::CharDevice,
            permissions: rights.permissions,
            links: 1,
            uid: rights.uid,
            gid: rights.gid,
            device: number,
            size: 0,
            blocks: 0,
            block_bytes: 1024,
            accessed: now,
            modified: now,
            changed: now,
            created: None,
        };
        Arc::new(Self {
            file_system: Arc::clone(file_system),
            device,
            attributes: Lock::new(attributes),
            anchors: Anchors::default(),
        })
    }

    /// Returns the terminal that it is, while there is one.
    pub(super) fn terminal(&self) -> Option<Arc<dyn Terminal>> {
        match &self.device {
            Device::Ptmx(_) => None,
            Device::Terminal(terminal) => terminal.upgrade(),
        }
    }
}

impl Inode for Node {
    fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::clone(&self.file_system) as Arc<_>
    }

    fn kind(&self) -> FileKind {
        FileKind::CharDevice
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(*self.attributes.lock())
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<(), Errno> {
        if change.size.is_some() {
            return Err(errno::EINVAL);
        }
        self.attributes.lock().apply(change);
        Ok(())
    }

    fn open(self: Arc<Self>, cx: &OpenCx<'_>) -> Result<Box<dyn FileOps>, Fail> {
        if let Device::Ptmx(directory) = &self.device {
            let directory = directory.upgrade().ok_or(errno::EIO)?;
            let root = cx.path.dentry.parent().ok_or(errno::EIO)?;
            return ptmx::make(cx, &directory, cx.path.with_dentry(root));
        }
        let terminal = self.terminal().ok_or(fail(errno::EIO, "the terminal is gone"))?;
        let file = Arc::clone(&terminal).open(cx.flags)?;
        job_control::acquire_by_open(cx.task, &terminal, cx.flags);
        Ok(file)
    }

    fn anchors(&self) -> &Anchors {
        &self.anchors
    }
}
