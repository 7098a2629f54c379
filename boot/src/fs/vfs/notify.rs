//! What happens to files, told to those who watch them (`inotify(7)`).
//!
//! Watches are kept with the inodes ([`Anchors`](super::Anchors)). As long as there is none in the sandbox, telling
//! costs one load.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use bitflags::bitflags;
use cloister_sync::{Lock, class};

use super::{Dentry, FileKind, Inode};

bitflags! {
    /// What happened, with the numbers of `inotify(7)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub(crate) struct Event: u32 {
        /// `IN_ACCESS`.
        const ACCESS = 0x1;
        /// `IN_MODIFY`.
        const MODIFY = 0x2;
        /// `IN_ATTRIB`.
        const ATTRIB = 0x4;
        /// `IN_CLOSE_WRITE`.
        const CLOSE_WRITE = 0x8;
        /// `IN_CLOSE_NOWRITE`.
        const CLOSE_NOWRITE = 0x10;
        /// `IN_OPEN`.
        const OPEN = 0x20;
        /// `IN_MOVED_FROM`.
        const MOVED_FROM = 0x40;
        /// `IN_MOVED_TO`.
        const MOVED_TO = 0x80;
        /// `IN_CREATE`.
        const CREATE = 0x100;
        /// `IN_DELETE`.
        const DELETE = 0x200;
        /// `IN_DELETE_SELF`.
        const DELETE_SELF = 0x400;
        /// `IN_MOVE_SELF`.
        const MOVE_SELF = 0x800;
        /// `IN_ISDIR`: it happened to a directory.
        const IS_DIRECTORY = 0x4000_0000;
    }
}

impl Event {
    /// Returns the event, marked if it happened to a directory.
    pub(crate) fn of(self, is_directory: bool) -> Self {
        if is_directory { self | Self::IS_DIRECTORY } else { self }
    }
}

/// Somebody who watches an inode. Called with no lock of the virtual file system held but those of directories.
pub(crate) trait Watcher: Send + Sync {
    /// Tells that `event` happened: to the inode itself, or to its entry `name`. The two halves of a rename have the same
    /// nonzero `cookie`.
    fn event(&self, event: Event, cookie: u32, name: Option<&[u8]>);
}

/// The watches of an inode.
#[derive(Default)]
pub(crate) struct Watches {
    list: Lock<Vec<Weak<dyn Watcher>>, { class::FILE_LOCKS }>,
}

/// How many watches the sandbox has.
static WATCHES: AtomicUsize = AtomicUsize::new(0);

/// The cookie of the next rename.
static NEXT_COOKIE: AtomicU32 = AtomicU32::new(1);

impl Watches {
    /// Adds a watch, until the watcher is dropped and [`Watches::remove_gone`] called.
    pub(crate) fn add(&self, watcher: Weak<dyn Watcher>) {
        self.list.lock().push(watcher);
        WATCHES.fetch_add(1, Ordering::Relaxed);
    }

    /// Forgets watchers that were dropped.
    pub(crate) fn remove_gone(&self) {
        let mut list = self.list.lock();
        let before = list.len();
        list.retain(|watcher| watcher.strong_count() > 0);
        WATCHES.fetch_sub(before - list.len(), Ordering::Relaxed);
    }

    fn tell(&self, event: Event, cookie: u32, name: Option<&[u8]>) {
        let watchers: Vec<_> = self.list.lock().iter().filter_map(Weak::upgrade).collect();
        for watcher in watchers {
            watcher.event(event, cookie, name);
        }
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        WATCHES.fetch_sub(self.list.get_mut().len(), Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Watches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watches").finish_non_exhaustive()
    }
}

fn tell(inode: &dyn Inode, event: Event, cookie: u32, name: Option<&[u8]>) {
    if let Some(anchors) = inode.anchors().get() {
        anchors.watches.tell(event, cookie, name);
    }
}

fn is_idle() -> bool {
    WATCHES.load(Ordering::Relaxed) == 0
}

/// Tells that something happened to the entry `name` of `directory`.
pub(crate) fn in_directory(directory: &Dentry, event: Event, name: &[u8], cookie: u32) {
    if !is_idle() {
        tell(&**directory.inode(), event, cookie, Some(name));
    }
}

/// Tells that something happened to the inode of `dentry`, to its watchers only.
pub(crate) fn of_inode(dentry: &Dentry, event: Event) {
    if !is_idle() {
        tell(&**dentry.inode(), event.of(is_directory(dentry)), 0, None);
    }
}

/// Tells that something happened to the inode of `dentry`, to its watchers and to those of its directory.
pub(crate) fn of_file(dentry: &Dentry, event: Event) {
    if is_idle() {
        return;
    }
    let event = event.of(is_directory(dentry));
    let (parent, name) = dentry.place();
    if let Some(parent) = parent.filter(|_| !dentry.is_removed()) {
        tell(&**parent.inode(), event, 0, Some(&name));
    }
    tell(&**dentry.inode(), event, 0, None);
}

/// Tells that a name of the inode of `dentry` is gone, and perhaps it was the last.
pub(crate) fn removed(dentry: &Dentry) {
    if is_idle() {
        return;
    }
    let is_directory = is_directory(dentry);
    if !is_directory {
        tell(&**dentry.inode(), Event::ATTRIB, 0, None);
    }
    if is_directory || dentry.inode().attributes().is_ok_and(|attributes| attributes.links == 0) {
        tell(&**dentry.inode(), Event::DELETE_SELF, 0, None);
    }
}

/// Tells that `dentry` was renamed.
pub(crate) fn moved(dentry: &Dentry, from: (&Arc<Dentry>, &[u8]), to: (&Arc<Dentry>, &[u8])) {
    if is_idle() {
        return;
    }
    let cookie = NEXT_COOKIE.fetch_add(1, Ordering::Relaxed);
    let is_directory = is_directory(dentry);
    tell(&**from.0.inode(), Event::MOVED_FROM.of(is_directory), cookie, Some(from.1));
    tell(&**to.0.inode(), Event::MOVED_TO.of(is_directory), cookie, Some(to.1));
    tell(&**dentry.inode(), Event::MOVE_SELF, 0, None);
}

fn is_directory(dentry: &Dentry) -> bool {
    dentry.inode().kind() == FileKind::Directory
}
