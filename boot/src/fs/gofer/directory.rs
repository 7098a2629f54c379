//! Open directories.

use std::sync::Arc;

use cloister_sync::{Lock, class};

use super::GoferInode;
use super::listing::Part;
use crate::error::Errno;
use crate::fs::{DirectorySink, FileCx, FileOps};

/// An open directory. Positions are the host's own.
#[derive(Debug)]
pub(super) struct OpenDirectory {
    inode: Arc<GoferInode>,
    batch: Lock<Batch, { class::INODE }>,
}

/// Entries that the gofer gave.
#[derive(Debug, Default)]
struct Batch {
    part: Part,
    /// How many of them the guest has taken.
    taken: usize,
    /// The position behind those.
    position: u64,
}

impl OpenDirectory {
    /// Opens a directory.
    pub(super) fn new(inode: Arc<GoferInode>) -> Self {
        Self { inode, batch: Lock::default() }
    }

    /// Gives `sink` the entries from `position` on, and moves it.
    pub(super) fn read(&self, position: &mut u64, sink: &mut dyn DirectorySink) -> Result<(), Errno> {
        let mut batch = self.batch_at(*position)?;
        loop {
            while let Some(entry) = batch.part.entries.get(batch.taken) {
                if !sink.entry(entry.number, entry.next, entry.kind, &entry.name) {
                    *self.batch.lock() = batch;
                    return Ok(());
                }
                batch.taken += 1;
                batch.position = entry.next;
                *position = entry.next;
            }
            if batch.part.is_end {
                *self.batch.lock() = batch;
                return Ok(());
            }
            batch = Batch { part: self.inode.part_from(*position)?, taken: 0, position: *position };
        }
    }

    /// Takes the entries at `position`: those left from the last time or, at the beginning of the directory or somewhere
    /// else, others.
    fn batch_at(&self, position: u64) -> Result<Batch, Errno> {
        let batch = std::mem::take(&mut *self.batch.lock());
        if position == 0 {
            return Ok(Batch { part: self.inode.first_part()?, ..Batch::default() });
        }
        if batch.position == position {
            return Ok(batch);
        }
        Ok(Batch { part: self.inode.part_from(position)?, taken: 0, position })
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
        let fid = self.inode.fid()?;
        self.inode.file_system.call(|client| client.fsync(fid, data_only))
    }
}
