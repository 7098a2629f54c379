//! Open directories.

use std::sync::Arc;

use cloister_9p::client::DirEntry;
use cloister_sync::{Lock, class};

use super::GoferInode;
use super::attributes::inode_number;
use crate::error::Errno;
use crate::fs::{DirectorySink, FileCx, FileKind, FileOps};

/// An open directory. Positions are the host's own.
#[derive(Debug)]
pub(super) struct OpenDirectory {
    inode: Arc<GoferInode>,
    batch: Lock<Batch, { class::INODE }>,
}

/// Entries that the gofer gave and the guest has not taken yet.
#[derive(Debug, Default)]
struct Batch {
    /// The position of the first.
    position: u64,
    entries: Vec<DirEntry>,
}

impl OpenDirectory {
    /// Opens a directory.
    pub(super) fn new(inode: Arc<GoferInode>) -> Self {
        Self { inode, batch: Lock::default() }
    }

    /// Gives `sink` the entries from `position` on, and moves it.
    pub(super) fn read(&self, position: &mut u64, sink: &mut dyn DirectorySink) -> Result<(), Errno> {
        loop {
            let entries = self.entries(*position)?;
            if entries.is_empty() {
                return Ok(());
            }
            let mut entries = entries.into_iter();
            while let Some(entry) = entries.next() {
                if !self.put(&entry, sink) {
                    let entries = std::iter::once(entry).chain(entries).collect();
                    *self.batch.lock() = Batch { position: *position, entries };
                    return Ok(());
                }
                *position = entry.offset;
            }
        }
    }

    /// Takes the entries at `position`: those left from the last time or, at the beginning of the directory or somewhere
    /// else, those that the gofer gives now.
    fn entries(&self, position: u64) -> Result<Vec<DirEntry>, Errno> {
        let batch = std::mem::take(&mut *self.batch.lock());
        if position != 0 && batch.position == position && !batch.entries.is_empty() {
            return Ok(batch.entries);
        }
        let fid = self.inode.fid();
        self.inode.file_system.call(|client| client.readdir_names(fid, position))
    }

    fn put(&self, entry: &DirEntry, sink: &mut dyn DirectorySink) -> bool {
        let root_device = self.inode.file_system.root_device();
        let (id, kind) = match entry.attr {
            Some(attr) => ((attr.dev, attr.ino), FileKind::from_mode(attr.mode)),
            None => ((root_device, entry.ino), FileKind::from_mode(u32::from(entry.kind) << 12)),
        };
        let kind = kind.unwrap_or(FileKind::Anonymous);
        sink.entry(inode_number(id, root_device), entry.offset, kind, &entry.name)
    }
}

impl FileOps for OpenDirectory {
    fn read_directory(
        &self,
        _cx: &FileCx<'_>,
        position: &mut u64,
        sink: &mut dyn DirectorySink,
    ) -> Result<(), Errno> {
        self.read(position, sink)
    }

    fn sync(&self, data_only: bool) -> Result<(), Errno> {
        let fid = self.inode.fid();
        self.inode.file_system.call(|client| client.fsync(fid, data_only))
    }
}
