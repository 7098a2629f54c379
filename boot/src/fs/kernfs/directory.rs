//! Directories of the kernel's own objects.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use super::{Content, KernFs, Node, Owner};
use crate::error::Errno;
use crate::fs::{DirectorySink, FileCx, FileKind, FileOps, Inode};
use crate::prelude::errno;

/// A directory.
pub(crate) trait Directory: Send + Sync + Debug {
    /// Returns the object that `name` stands for.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is none.
    fn lookup(&self, file_system: &Arc<KernFs>, name: &[u8]) -> Result<Arc<dyn Inode>, Errno>;

    /// Returns the entries behind the position `from`, in the order of their positions; `.` and `..` are the caller's.
    fn entries(&self, from: u64) -> Vec<Entry>;
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its position: grows from entry to entry, and stays with the name.
    pub(crate) position: u64,
    /// The name.
    pub(crate) name: Vec<u8>,
    /// The number of its inode.
    pub(crate) inode: u64,
    /// What it is.
    pub(crate) kind: FileKind,
}

/// A directory whose entries never change.
#[derive(Debug, Default)]
pub(crate) struct StaticDirectory {
    entries: Vec<(Cow<'static, str>, u64, u32, Content)>,
}

impl StaticDirectory {
    /// Adds an entry with the inode number `inode` and the lower bits `permissions` of its mode.
    pub(crate) fn add(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        inode: u64,
        permissions: u32,
        content: Content,
    ) {
        self.entries.push((name.into(), inode, permissions, content));
    }
}

impl Content {
    /// Returns what an inode of this content is.
    pub(crate) fn kind(&self) -> FileKind {
        match self {
            Self::Directory(_) => FileKind::Directory,
            Self::Text(_) => FileKind::Regular,
            Self::Link(_) => FileKind::Symlink,
        }
    }
}

impl Directory for StaticDirectory {
    fn lookup(&self, file_system: &Arc<KernFs>, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        let (_, inode, permissions, content) =
            self.entries.iter().find(|(known, ..)| known.as_bytes() == name).ok_or(errno::ENOENT)?;
        Ok(Node::inode(file_system, *inode, *permissions, Owner::default(), content.clone()))
    }

    fn entries(&self, from: u64) -> Vec<Entry> {
        let entry =
            |(position, (name, inode, _, content)): (u64, &(Cow<'static, str>, u64, u32, Content))| Entry {
                position,
                name: name.as_bytes().to_vec(),
                inode: *inode,
                kind: content.kind(),
            };
        (1..).zip(&self.entries).filter(|(position, _)| *position > from).map(entry).collect()
    }
}

/// An open directory. Positions 0 and 1 are `.` and `..`; an entry's own are two above its [`Entry::position`].
#[derive(Debug)]
pub(super) struct OpenDirectory {
    directory: Arc<dyn Directory>,
    inode: u64,
}

impl OpenDirectory {
    pub(super) fn new(directory: Arc<dyn Directory>, inode: u64) -> Self {
        Self { directory, inode }
    }
}

impl FileOps for OpenDirectory {
    fn read_directory(
        &self,
        _cx: &FileCx<'_>,
        position: &mut u64,
        sink: &mut dyn DirectorySink,
    ) -> Result<(), Errno> {
        for (at, name) in [(0, &b"."[..]), (1, b"..")] {
            if *position == at {
                if !sink.entry(self.inode, at + 1, FileKind::Directory, name) {
                    return Ok(());
                }
                *position = at + 1;
            }
        }
        // Position 2 says that the dots were given: entries count from 1 upwards, as 3 and so on.
        let from = position.saturating_sub(2);
        for entry in self.directory.entries(from) {
            let next = entry.position.saturating_add(2);
            if !sink.entry(entry.inode, next, entry.kind, &entry.name) {
                return Ok(());
            }
            *position = next;
        }
        Ok(())
    }
}
