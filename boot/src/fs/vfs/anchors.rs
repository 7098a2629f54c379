//! What belongs to an inode but to no file system.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use cloister_sync::{Lock, class};

use super::file_locks::FileLocks;
use super::notify::Watches;

/// What belongs to an inode but to no file system; most inodes have nothing of it, and pay a pointer.
#[derive(Debug, Default)]
pub(crate) struct Anchors {
    inner: OnceLock<Box<AnchorSet>>,
}

/// What an inode can have attached.
#[derive(Debug, Default)]
pub(crate) struct AnchorSet {
    /// The pipe of a FIFO, or the socket bound to a name.
    pub(crate) object: Lock<Option<Arc<dyn Any + Send + Sync>>, { class::SOCKET_NAMES }>,
    /// Advisory locks.
    pub(crate) locks: FileLocks,
    /// Who is told what happens to it.
    pub(crate) watches: Watches,
}

impl Anchors {
    /// Returns what is attached, to be added to.
    pub(crate) fn get_or_init(&self) -> &AnchorSet {
        self.inner.get_or_init(Box::default)
    }

    /// Returns what is attached, if anything ever was.
    pub(crate) fn get(&self) -> Option<&AnchorSet> {
        self.inner.get().map(|boxed| &**boxed)
    }
}
