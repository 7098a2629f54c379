//! Listings of both layers.

use std::sync::Arc;

use cloister_sync::{Lock, class};

use super::OverlayInode;
use crate::error::Errno;
use crate::fs::{DirectorySink, FileCx, FileKind, FileOps, Inode, NameEntry};

/// An open directory: a list of the names of both layers, made when it is read from the start. Positions count its
/// entries, so a listing goes on where it was whatever happens to the directory meanwhile.
#[derive(Debug)]
pub(super) struct OpenDirectory {
    directory: Arc<OverlayInode>,
    listing: Lock<Arc<[NameEntry]>, { class::STREAM }>,
}

impl OpenDirectory {
    pub(super) fn new(directory: Arc<OverlayInode>) -> Self {
        Self { directory, listing: Lock::new(Arc::default()) }
    }

    fn list(&self, cx: &FileCx<'_>) -> Result<Arc<[NameEntry]>, Errno> {
        let own = self.directory.attributes()?.inode;
        let parent = match cx.file.path().dentry.parent() {
            Some(parent) => parent.inode().attributes()?.inode,
            None => own,
        };
        let dot = |name: &[u8], inode| NameEntry { name: name.to_vec(), inode, kind: FileKind::Directory };
        let mut listing = vec![dot(b".", own), dot(b"..", parent)];
        let below = match &self.directory.lower {
            Some(lower) => Arc::clone(lower).names()?,
            None => Vec::new(),
        };
        let objects: Vec<(Vec<u8>, Arc<OverlayInode>)> = {
            let state = self.directory.state.lock();
            listing.extend(below.into_iter().filter(|entry| state.names.get(&entry.name).is_none()));
            state.names.present().map(|(name, object)| (name.to_vec(), Arc::clone(object))).collect()
        };
        for (name, object) in objects {
            listing.push(NameEntry { name, inode: object.attributes()?.inode, kind: object.kind() });
        }
        Ok(listing.into())
    }
}

impl FileOps for OpenDirectory {
    fn read_directory(
        &self,
        cx: &FileCx<'_>,
        position: &mut u64,
        sink: &mut dyn DirectorySink,
    ) -> Result<(), Errno> {
        if *position == 0 {
            let listing = self.list(cx)?;
            *self.listing.lock() = listing;
        }
        let listing = Arc::clone(&self.listing.lock());
        let rest = usize::try_from(*position).ok().and_then(|at| listing.get(at..)).unwrap_or_default();
        for entry in rest {
            let next = *position + 1;
            if !sink.entry(entry.inode, next, entry.kind, &entry.name) {
                break;
            }
            *position = next;
        }
        Ok(())
    }

    fn sync(&self, _data_only: bool) -> Result<(), Errno> {
        Ok(())
    }
}
