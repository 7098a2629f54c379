//! The file system object, and the table of its objects.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use cloister_sync::{Lock, class};

use super::OverlayInode;
use crate::error::Errno;
use crate::fs::tmpfs::{Tmpfs, TmpfsOptions};
use crate::fs::{FileSystem, FileSystemStatistics, Inode, NameCache, new_device_number};
use crate::prelude::{errno, uapi};

/// The numbers of objects that were made here start at this, far from those of the lower layer.
const FIRST_NUMBER: u64 = 1 << 62;

/// An overlay.
#[derive(Debug)]
pub(crate) struct OverlayFs {
    device: (u32, u32),
    /// What holds changed and new objects.
    pub(super) upper: Arc<Tmpfs>,
    lower: Arc<dyn FileSystem>,
    next_number: AtomicU64,
    objects: Lock<Objects, { class::OVERLAY }>,
}

/// The objects that have a lower inode, by it.
#[derive(Debug, Default)]
struct Objects {
    /// Those that are in use. Each holds its lower inode, so that the key stays its own.
    known: HashMap<Key, Weak<OverlayInode>>,
    /// Those that were changed: they are kept for as long as they have a name.
    changed: HashMap<Key, Arc<OverlayInode>>,
}

/// What tells a lower inode from others while it is in use: its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(usize);

impl Key {
    pub(super) fn of(lower: &Arc<dyn Inode>) -> Self {
        Self(Arc::as_ptr(lower).cast::<()>().addr())
    }
}

impl OverlayFs {
    /// Makes an overlay above the tree `lower`, and returns its root. `options` bound what it holds.
    pub(crate) fn new_root(lower: Arc<dyn Inode>, options: TmpfsOptions) -> Result<Arc<OverlayInode>, Errno> {
        let (device, upper) = (new_device_number(), Tmpfs::new(options));
        Self::with_upper(device, upper, lower.file_system(), FIRST_NUMBER).object(lower)
    }

    /// Makes an overlay above `lower` without objects, whose next object has the number `next_number`.
    pub(super) fn with_upper(
        device: (u32, u32),
        upper: Arc<Tmpfs>,
        lower: Arc<dyn FileSystem>,
        next_number: u64,
    ) -> Arc<Self> {
        let next_number = AtomicU64::new(next_number);
        Arc::new(Self { device, upper, lower, next_number, objects: Lock::default() })
    }

    /// Returns the number of the next new object.
    pub(super) fn next_number(&self) -> u64 {
        self.next_number.load(Ordering::Relaxed)
    }

    /// Returns the objects that are kept because they were changed.
    pub(super) fn changed(&self) -> Vec<Arc<OverlayInode>> {
        self.objects.lock().changed.values().cloned().collect()
    }

    /// Returns whether an object is kept because it was changed.
    pub(super) fn is_pinned(&self, key: Key) -> bool {
        self.objects.lock().changed.contains_key(&key)
    }

    /// Lets `object`, which was saved, stand for its lower inode.
    ///
    /// # Errors
    ///
    /// `EINVAL` if another one does.
    pub(super) fn restore_object(&self, key: Key, object: &Arc<OverlayInode>) -> Result<(), Errno> {
        let mut objects = self.objects.lock();
        if objects.known.get(&key).is_some_and(|known| known.strong_count() > 0) {
            return Err(errno::EINVAL);
        }
        objects.known.insert(key, Arc::downgrade(object));
        Ok(())
    }

    /// Returns the number of a new object.
    pub(super) fn new_number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns the object that stands for a lower inode.
    pub(super) fn object(self: &Arc<Self>, lower: Arc<dyn Inode>) -> Result<Arc<OverlayInode>, Errno> {
        let key = Key::of(&lower);
        if let Some(known) = self.objects.lock().known.get(&key).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let new = Arc::new(OverlayInode::of_lower(self, lower)?);
        let mut objects = self.objects.lock();
        // Somebody else may have been faster.
        if let Some(known) = objects.known.get(&key).and_then(Weak::upgrade) {
            drop(objects);
            return Ok(known);
        }
        objects.known.insert(key, Arc::downgrade(&new));
        Ok(new)
    }

    /// Keeps a changed object until [`OverlayFs::unpin`].
    pub(super) fn pin(&self, key: Key) {
        let mut objects = self.objects.lock();
        if let Some(object) = objects.known.get(&key).and_then(Weak::upgrade) {
            objects.changed.entry(key).or_insert(object);
        }
    }

    /// Lets go of an object that has no name any more.
    pub(super) fn unpin(&self, key: Key) {
        let object = self.objects.lock().changed.remove(&key);
        drop(object);
    }

    /// Takes note that an object is gone; another may have taken its place.
    pub(super) fn forget(&self, key: Key) {
        let mut objects = self.objects.lock();
        if objects.known.get(&key).is_some_and(|known| known.strong_count() == 0) {
            objects.known.remove(&key);
        }
    }
}

impl FileSystem for OverlayFs {
    fn type_name(&self) -> &'static str {
        "overlay"
    }

    fn device(&self) -> (u32, u32) {
        self.device
    }

    /// As in Linux: the room is the upper layer's.
    fn statistics(&self) -> Result<FileSystemStatistics, Errno> {
        let statistics = self.upper.statistics()?;
        Ok(FileSystemStatistics { magic: u64::from(uapi::OVERLAYFS_SUPER_MAGIC), ..statistics })
    }

    fn name_cache(&self) -> NameCache {
        self.lower.name_cache()
    }
}
