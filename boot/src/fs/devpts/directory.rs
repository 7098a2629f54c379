//! The directory: the table of names.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use cloister_sync::{Lock, class};

use super::node::{Device, Node, Rights};
use super::{Devpts, DevptsOptions};
use crate::error::{Errno, Fail};
use crate::fs::{
    Anchors, AttributeChange, Attributes, DirectorySink, FileCx, FileKind, FileOps, FileSystem, Inode,
    OpenCx, Timestamp, new_device_number,
};
use crate::prelude::errno;
use crate::tty::{self, Terminal};

/// The number of the inode of the root.
const ROOT_INODE: u64 = 1;
/// The number of the inode of `ptmx`.
const PTMX_INODE: u64 = 2;
/// The number of the inode of the first terminal.
const FIRST_INODE: u64 = 3;

/// The number of the device `ptmx`.
pub(super) const PTMX_DEVICE: (u32, u32) = (5, 2);

/// The directory of an instance of devpts.
#[derive(Debug)]
pub(crate) struct Directory {
    this: Weak<Self>,
    file_system: Arc<Devpts>,
    ptmx: Arc<Node>,
    names: Lock<BTreeMap<u32, Arc<Node>>, { class::STREAM }>,
    attributes: Lock<Attributes, { class::INODE }>,
    anchors: Anchors,
}

impl Directory {
    /// Makes an instance without terminals, and returns its root.
    pub(crate) fn new_root(options: DevptsOptions) -> Arc<Self> {
        Self::with_device(options, new_device_number())
    }

    /// As [`Directory::new_root`], with this device number.
    pub(super) fn with_device(options: DevptsOptions, device: (u32, u32)) -> Arc<Self> {
        let file_system = Arc::new(Devpts { device, options });
        let now = Timestamp::now();
        let attributes = Attributes {
            inode: ROOT_INODE,
            kind: FileKind::Directory,
            permissions: 0o755,
            links: 2,
            uid: 0,
            gid: 0,
            device: (0, 0),
            size: 0,
            blocks: 0,
            block_bytes: 1024,
            accessed: now,
            modified: now,
            changed: now,
            created: None,
        };
        let rights = Rights { uid: 0, gid: 0, permissions: options.ptmx_mode };
        Arc::new_cyclic(|this: &Weak<Self>| Self {
            this: this.clone(),
            ptmx: Node::new(&file_system, PTMX_INODE, PTMX_DEVICE, Device::Ptmx(this.clone()), rights),
            file_system,
            names: Lock::default(),
            attributes: Lock::new(attributes),
            anchors: Anchors::default(),
        })
    }

    /// Names the terminal that `make` makes, with the lowest number that is free. It belongs to `uid` and `gid`, unless the
    /// mount says otherwise. Returns it with its number.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if there are too many.
    pub(crate) fn add<T: Terminal>(
        &self,
        (uid, gid): (u32, u32),
        make: impl FnOnce(u32, Weak<Self>) -> Arc<T>,
    ) -> Result<(Arc<T>, u32), Errno> {
        let options = self.file_system.options;
        let rights = Rights {
            uid: options.uid.unwrap_or(uid),
            gid: options.gid.unwrap_or(gid),
            permissions: options.mode,
        };
        let mut names = self.names.lock();
        names.retain(|_, node| node.terminal().is_some());
        let index = (0..options.max).find(|index| !names.contains_key(index)).ok_or(errno::ENOSPC)?;
        let terminal = make(index, self.this.clone());
        let as_terminal: Arc<dyn Terminal> = Arc::clone(&terminal) as Arc<_>;
        let inode = FIRST_INODE + u64::from(index);
        let device = Device::Terminal(Arc::downgrade(&as_terminal));
        names.insert(index, Node::new(&self.file_system, inode, tty::device(index), device, rights));
        Ok((terminal, index))
    }

    /// Returns the terminals that have names, with their numbers and attributes.
    pub(super) fn terminals(&self) -> Vec<(u32, Arc<dyn Terminal>, Attributes)> {
        let names = self.names.lock().clone();
        let terminal =
            |(index, node): (u32, Arc<Node>)| Some((index, node.terminal()?, node.attributes().ok()?));
        names.into_iter().filter_map(terminal).collect()
    }

    /// Returns the file system.
    pub(super) fn devpts(&self) -> &Arc<Devpts> {
        &self.file_system
    }

    /// Gives a terminal the name that it had.
    ///
    /// # Errors
    ///
    /// `EINVAL` if another one has it.
    pub(crate) fn restore(
        &self,
        index: u32,
        terminal: &Arc<dyn Terminal>,
        attributes: Attributes,
    ) -> Result<(), Errno> {
        let Attributes { uid, gid, permissions, .. } = attributes;
        let rights = Rights { uid, gid, permissions };
        let device = Device::Terminal(Arc::downgrade(terminal));
        let inode = FIRST_INODE + u64::from(index);
        let node = Node::new(&self.file_system, inode, tty::device(index), device, rights);
        let before = self.names.lock().insert(index, node);
        if before.is_some() { Err(errno::EINVAL) } else { Ok(()) }
    }

    /// Removes the name of a terminal.
    pub(crate) fn remove(&self, index: u32) {
        let removed = self.names.lock().remove(&index);
        drop(removed);
    }

    fn find(&self, name: &[u8]) -> Option<Arc<Node>> {
        if name == b"ptmx" {
            return Some(Arc::clone(&self.ptmx));
        }
        let text = std::str::from_utf8(name).ok()?;
        let index: u32 = text.parse().ok()?;
        let node = self.names.lock().get(&index).cloned()?;
        // Each terminal has one name: no leading zeros, no sign.
        (index.to_string() == text && node.terminal().is_some()).then_some(node)
    }

    /// Returns the numbers of the terminals.
    fn numbers(&self) -> Vec<u32> {
        let names = self.names.lock();
        names.iter().filter(|(_, node)| node.terminal().is_some()).map(|(index, _)| *index).collect()
    }
}

impl Inode for Directory {
    fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::clone(&self.file_system) as Arc<_>
    }

    fn kind(&self) -> FileKind {
        FileKind::Directory
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(*self.attributes.lock())
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<(), Errno> {
        self.attributes.lock().apply(change);
        Ok(())
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        Ok(self.find(name).ok_or(errno::ENOENT)?)
    }

    fn open(self: Arc<Self>, _cx: &OpenCx<'_>) -> Result<Box<dyn FileOps>, Fail> {
        Ok(Box::new(OpenDirectory { directory: self }))
    }

    fn anchors(&self) -> &Anchors {
        &self.anchors
    }
}

/// The directory, open. Positions are those of `.`, `..` and `ptmx`, then the numbers of terminals from 3 on.
#[derive(Debug)]
struct OpenDirectory {
    directory: Arc<Directory>,
}

impl FileOps for OpenDirectory {
    fn read_directory(
        &self,
        _cx: &FileCx<'_>,
        position: &mut u64,
        sink: &mut dyn DirectorySink,
    ) -> Result<(), Errno> {
        let fixed = [
            (ROOT_INODE, FileKind::Directory, b".".to_vec()),
            (ROOT_INODE, FileKind::Directory, b"..".to_vec()),
            (PTMX_INODE, FileKind::CharDevice, b"ptmx".to_vec()),
        ];
        let terminal = |index: u32| {
            let at = FIRST_INODE + u64::from(index);
            (at, (at, FileKind::CharDevice, index.to_string().into_bytes()))
        };
        let terminals = self.directory.numbers().into_iter().map(terminal);
        for (at, (inode, kind, name)) in (0..).zip(fixed).chain(terminals) {
            if at >= *position {
                if !sink.entry(inode, at + 1, kind, &name) {
                    return Ok(());
                }
                *position = at + 1;
            }
        }
        Ok(())
    }
}
