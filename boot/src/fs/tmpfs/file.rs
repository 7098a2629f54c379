//! Open files and directories.

use std::sync::{Arc, Weak};

use super::TmpfsInode;
use crate::error::Errno;
use crate::fs::{Dentry, DirectorySink, FileCx, FileKind, FileOps, MapSource, Path, Sink, Source, Whence};

/// An open regular file.
#[derive(Debug)]
pub(super) struct TmpfsFile {
    inode: Arc<TmpfsInode>,
}

impl TmpfsFile {
    pub(super) fn new(inode: Arc<TmpfsInode>) -> Self {
        Self { inode }
    }
}

impl FileOps for TmpfsFile {
    fn read_at(&self, cx: &FileCx<'_>, offset: u64, into: &mut dyn Sink) -> Result<usize, Errno> {
        let read = self.inode.with_data(|data| data.read(offset, into))?;
        self.inode.note_access(cx.file);
        Ok(read)
    }

    fn write_at(&self, _cx: &FileCx<'_>, offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        self.inode.write(Some(offset), from).map(|(_, written)| written)
    }

    fn append(&self, _cx: &FileCx<'_>, from: &mut dyn Source) -> Result<(u64, usize), Errno> {
        self.inode.write(None, from)
    }

    fn seek(&self, offset: u64, whence: Whence, _size: u64) -> Result<u64, Errno> {
        self.inode.with_data(|data| data.seek(offset, whence))
    }

    fn map(&self, cx: &FileCx<'_>) -> Result<MapSource, Errno> {
        let fd = self.inode.map()?;
        self.inode.note_access(cx.file);
        Ok(MapSource::Host(fd))
    }

    fn sync(&self, _data_only: bool) -> Result<(), Errno> {
        Ok(())
    }

    fn allocate(&self, _cx: &FileCx<'_>, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
        self.inode.allocate(mode, offset, len)
    }
}

/// An open directory.
#[derive(Debug)]
pub(super) struct TmpfsDirectory {
    inode: Arc<TmpfsInode>,
    dentry: Weak<Dentry>,
}

impl TmpfsDirectory {
    pub(super) fn new(inode: Arc<TmpfsInode>, path: &Path) -> Self {
        Self { inode, dentry: Arc::downgrade(&path.dentry) }
    }

    fn parent_number(&self) -> u64 {
        let parent = self.dentry.upgrade().and_then(|dentry| dentry.parent());
        let attributes = parent.and_then(|parent| parent.inode().attributes().ok());
        attributes.map_or_else(|| self.inode.number(), |attributes| attributes.inode)
    }
}

impl FileOps for TmpfsDirectory {
    fn read_directory(
        &self,
        cx: &FileCx<'_>,
        position: &mut u64,
        sink: &mut dyn DirectorySink,
    ) -> Result<(), Errno> {
        for (at, name) in [(0, &b"."[..]), (1, b"..")] {
            if *position == at {
                let number = if at == 0 { self.inode.number() } else { self.parent_number() };
                if !sink.entry(number, at + 1, FileKind::Directory, name) {
                    return Ok(());
                }
                *position = at + 1;
            }
        }
        self.inode.with_entries(|entries| entries.read(position, sink))?;
        self.inode.note_access(cx.file);
        Ok(())
    }

    fn sync(&self, _data_only: bool) -> Result<(), Errno> {
        Ok(())
    }
}
