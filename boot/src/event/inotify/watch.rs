//! A watch: the link between an inode and an inotify instance.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use super::instance::Inner;
use super::queue::{Queued, WatchMask};
use crate::fs::Dentry;
use crate::fs::notify::{Event, Watcher};

/// A watch.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) descriptor: i32,
    instance: Weak<Inner>,
    /// The name that it was made by.
    pub(super) dentry: Arc<Dentry>,
    mask: AtomicU32,
}

impl Watch {
    pub(super) fn new(descriptor: i32, instance: Weak<Inner>, dentry: Arc<Dentry>, mask: WatchMask) -> Self {
        Self { descriptor, instance, dentry, mask: AtomicU32::new(mask.bits()) }
    }

    pub(super) fn mask(&self) -> WatchMask {
        WatchMask::from_bits_retain(self.mask.load(Ordering::Relaxed))
    }

    pub(super) fn set_mask(&self, mask: WatchMask) {
        self.mask.store(mask.bits(), Ordering::Relaxed);
    }
}

impl Watcher for Watch {
    fn event(&self, event: Event, cookie: u32, name: Option<&[u8]>) {
        let Some(instance) = self.instance.upgrade() else { return };
        let mask = self.mask();
        let is_asked = event.bits() & mask.bits() & WatchMask::ALL_EVENTS.bits() != 0;
        if is_asked {
            let name = name.map(Into::into);
            instance.push(Queued { watch: self.descriptor, mask: event.bits(), cookie, name });
        }
        // The inode is gone, and the watch with it.
        let is_gone = event.contains(Event::DELETE_SELF);
        if is_gone || (is_asked && mask.contains(WatchMask::ONE_SHOT)) {
            instance.remove(self.descriptor);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(anchors) = self.dentry.inode().anchors().get() {
            anchors.watches.remove_gone();
        }
    }
}
