//! What the virtual file system has once for the whole sandbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cloister_sync::{Lock, LockGuard, class};

use super::{DentryCache, LockWaits};
use crate::fs::tmpfs::MemfdMount;

/// What the virtual file system has once for the whole sandbox.
#[derive(Debug)]
pub(crate) struct Vfs {
    /// The cache of names.
    pub(crate) cache: Arc<DentryCache>,
    /// The files of `memfd_create(2)`.
    pub(crate) memfds: MemfdMount,
    /// Who waits for a record lock of whom.
    pub(crate) lock_waits: LockWaits,
    renames: Lock<(), { class::RENAME }>,
}

impl Vfs {
    /// Takes the lock under which directories move.
    pub(super) fn lock_renames(&self) -> LockGuard<'_, ()> {
        self.renames.lock()
    }
}

impl Default for Vfs {
    fn default() -> Self {
        let cache = Arc::default();
        Self {
            memfds: MemfdMount::new(&cache),
            cache,
            lock_waits: LockWaits::default(),
            renames: Lock::new(()),
        }
    }
}

/// The number of the next file system's device.
static NEXT_DEVICE: AtomicU32 = AtomicU32::new(20);

/// Returns a device number for a file system that is on no device: major number 0, and a minor that no other has.
pub(crate) fn new_device_number() -> (u32, u32) {
    (0, NEXT_DEVICE.fetch_add(1, Ordering::Relaxed))
}

/// Has no new file system get the device number of one that was brought back.
pub(crate) fn reserve_device_number((_, minor): (u32, u32)) {
    NEXT_DEVICE.fetch_max(minor.saturating_add(1), Ordering::Relaxed);
}
