//! Names in the tree, and the cache of them.
//!
//! A dentry owns its parent; a parent knows its children only weakly. What keeps unused dentries is the
//! [`DentryCache`]: a ring with a bound, from which those that were not used since the hand last came by are dropped.
//! Names that are known not to exist are remembered in the same way.
//!
//! # Locking
//!
//! [`class::DIRECTORY`] of a directory serialises changes of its names and look-ups in its file system;
//! [`class::DENTRY`] protects its cached children, its own name and parent, and is held for moments only.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use cloister_sync::{Lock, LockGuard, class};
use hashbrown::HashMap;

use super::{DentryCache, Inode, NameCache};
use crate::error::Errno;
use crate::prelude::errno;

/// A name in the tree of a file system.
pub(crate) struct Dentry {
    inode: Arc<dyn Inode>,
    name_cache: NameCache,
    /// Used since the cache last looked.
    used: AtomicBool,
    /// Where the cache keeps it.
    pub(super) kept_at: AtomicU64,
    /// The name was removed.
    removed: AtomicBool,
    /// How many mounts have this as their mount point, in all namespaces.
    mounts: AtomicU32,
    directory: Lock<(), { class::DIRECTORY }>,
    state: Lock<State, { class::DENTRY }>,
}

#[derive(Default)]
struct State {
    /// `None` for the root of a file system.
    parent: Option<Arc<Dentry>>,
    name: Box<[u8]>,
    children: HashMap<Box<[u8]>, Child>,
    /// The number of children at which those that are gone are swept out.
    sweep_at: usize,
}

/// What a directory knows about a name.
enum Child {
    Is(Weak<Dentry>),
    IsNot(Weak<Absent>),
}

/// The knowledge that a name does not exist.
#[derive(Debug, Default)]
pub(crate) struct Absent {
    used: AtomicBool,
}

/// The right to change the names of a directory: its lock.
#[derive(Debug)]
pub(crate) struct DirectoryGuard<'a> {
    dentry: &'a Arc<Dentry>,
    _lock: LockGuard<'a, ()>,
}

/// The least number of children at which a directory is swept.
const MIN_SWEEP: usize = 32;

impl Dentry {
    /// Makes the root of the tree of a file system.
    pub(crate) fn new_root(inode: Arc<dyn Inode>) -> Arc<Self> {
        Self::new_unnamed(inode, b"")
    }

    /// Makes a dentry that stands in no directory (a pipe, an `O_TMPFILE`); `label` is what `/proc/PID/fd` tells.
    pub(crate) fn new_unnamed(inode: Arc<dyn Inode>, label: &[u8]) -> Arc<Self> {
        let name_cache = inode.file_system().name_cache();
        Self::new(inode, name_cache, None, label)
    }

    fn new(
        inode: Arc<dyn Inode>,
        name_cache: NameCache,
        parent: Option<Arc<Self>>,
        name: &[u8],
    ) -> Arc<Self> {
        let state = State { parent, name: name.into(), sweep_at: MIN_SWEEP, ..State::default() };
        Arc::new(Self {
            inode,
            name_cache,
            used: AtomicBool::new(false),
            kept_at: AtomicU64::new(DentryCache::NOWHERE),
            removed: AtomicBool::new(false),
            mounts: AtomicU32::new(0),
            directory: Lock::new(()),
            state: Lock::new(state),
        })
    }

    /// Returns the object that the name stands for.
    pub(crate) fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    /// Returns the directory that it stands in; `None` for the root of a file system.
    pub(crate) fn parent(&self) -> Option<Arc<Self>> {
        self.state.lock().parent.clone()
    }

    /// Returns its name in its directory, or its label if it stands in none.
    pub(crate) fn name(&self) -> Box<[u8]> {
        self.state.lock().name.clone()
    }

    /// Returns its parent and its name.
    pub(crate) fn place(&self) -> (Option<Arc<Self>>, Box<[u8]>) {
        let state = self.state.lock();
        (state.parent.clone(), state.name.clone())
    }

    /// Returns whether the name was removed.
    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// Marks the name as removed, and has the cache keep it no longer.
    pub(crate) fn set_removed(&self, cache: &DentryCache) {
        self.removed.store(true, Ordering::Release);
        cache.release(self);
    }

    /// Returns whether something may be mounted on it, in some namespace.
    pub(crate) fn may_be_mount_point(&self) -> bool {
        self.mounts.load(Ordering::Acquire) != 0
    }

    /// Notes that something is mounted on it.
    pub(super) fn add_mount(&self) {
        self.mounts.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes that something is mounted on it no longer.
    pub(super) fn remove_mount(&self) {
        self.mounts.fetch_sub(1, Ordering::AcqRel);
    }

    /// Takes the note that it was used since the last time.
    pub(super) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Returns whether it is `other` or stands below it.
    pub(crate) fn is_within(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        let mut at = Arc::clone(self);
        loop {
            if Arc::ptr_eq(&at, other) {
                return true;
            }
            match at.parent() {
                Some(parent) => at = parent,
                None => return false,
            }
        }
    }

    /// Returns what `name` stands for in this directory.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is none, or what [`Inode::lookup`] says.
    pub(crate) fn lookup(self: &Arc<Self>, name: &[u8], cache: &DentryCache) -> Result<Arc<Self>, Errno> {
        if self.name_cache == NameCache::Never {
            return self.ask_again(name);
        }
        match self.cached(name) {
            Some(known) => known.ok_or(errno::ENOENT),
            None => self.lock_directory().lookup(name, cache),
        }
    }

    /// Takes the right to change this directory's names.
    pub(crate) fn lock_directory(self: &Arc<Self>) -> DirectoryGuard<'_> {
        DirectoryGuard { _lock: self.directory.lock(), dentry: self }
    }

    /// Takes the right to change the names of two directories, which may be one.
    pub(crate) fn lock_directories<'a>(
        a: &'a Arc<Self>,
        b: &'a Arc<Self>,
    ) -> (DirectoryGuard<'a>, Option<DirectoryGuard<'a>>) {
        if Arc::ptr_eq(a, b) {
            return (a.lock_directory(), None);
        }
        let (lock_a, lock_b) = Lock::pair(&a.directory, &b.directory);
        (DirectoryGuard { dentry: a, _lock: lock_a }, Some(DirectoryGuard { dentry: b, _lock: lock_b }))
    }

    /// Returns what the cache knows about `name`: `Some(None)` if it does not exist.
    #[expect(clippy::option_option, reason = "the cache may know nothing, or know that there is nothing")]
    fn cached(&self, name: &[u8]) -> Option<Option<Arc<Self>>> {
        match self.state.lock().children.get(name)? {
            Child::Is(dentry) => {
                let dentry = dentry.upgrade()?;
                if !dentry.used.load(Ordering::Relaxed) {
                    dentry.used.store(true, Ordering::Relaxed);
                }
                Some(Some(dentry))
            }
            Child::IsNot(absent) => {
                absent.upgrade()?.used.store(true, Ordering::Relaxed);
                Some(None)
            }
        }
    }

    /// Looks a name up in a file system whose names change by themselves. A dentry that is in use is returned again for
    /// the same object, so that mounts on it are found.
    fn ask_again(self: &Arc<Self>, name: &[u8]) -> Result<Arc<Self>, Errno> {
        let inode = self.inode.lookup(name)?;
        let known = match self.state.lock().children.get(name) {
            Some(Child::Is(dentry)) => dentry.upgrade(),
            _ => None,
        };
        if let Some(known) = known.filter(|known| is_same_inode(&known.inode, &inode)) {
            return Ok(known);
        }
        let dentry = Self::new(inode, self.name_cache, Some(Arc::clone(self)), name);
        self.state.lock().insert(name, Child::Is(Arc::downgrade(&dentry)));
        Ok(dentry)
    }
}

/// Returns whether two inodes are the same object, for file systems that make their inodes anew for each look-up.
fn is_same_inode(a: &Arc<dyn Inode>, b: &Arc<dyn Inode>) -> bool {
    let number = |inode: &Arc<dyn Inode>| inode.attributes().map(|attributes| attributes.inode).ok();
    Arc::ptr_eq(a, b) || (a.kind() == b.kind() && number(a).is_some() && number(a) == number(b))
}

impl State {
    fn insert(&mut self, name: &[u8], child: Child) {
        if self.children.len() >= self.sweep_at {
            self.children.retain(|_, child| match child {
                Child::Is(dentry) => dentry.strong_count() > 0,
                Child::IsNot(absent) => absent.strong_count() > 0,
            });
            self.sweep_at = MIN_SWEEP.max(2 * self.children.len());
        }
        self.children.insert(name.into(), child);
    }
}

impl DirectoryGuard<'_> {
    /// Returns what `name` stands for, as [`Dentry::lookup`].
    ///
    /// # Errors
    ///
    /// As [`Dentry::lookup`].
    pub(crate) fn lookup(&self, name: &[u8], cache: &DentryCache) -> Result<Arc<Dentry>, Errno> {
        if self.dentry.name_cache == NameCache::Never {
            return self.dentry.ask_again(name);
        }
        if let Some(known) = self.dentry.cached(name) {
            return known.ok_or(errno::ENOENT);
        }
        match self.dentry.inode.lookup(name) {
            Ok(inode) => Ok(self.add(name, inode, cache)),
            Err(errno::ENOENT) => {
                self.forget(name, cache);
                Err(errno::ENOENT)
            }
            Err(other) => Err(other),
        }
    }

    /// Notes that `name` now stands for `inode`.
    pub(crate) fn add(&self, name: &[u8], inode: Arc<dyn Inode>, cache: &DentryCache) -> Arc<Dentry> {
        let parent = Some(Arc::clone(self.dentry));
        let dentry = Dentry::new(inode, self.dentry.name_cache, parent, name);
        self.dentry.state.lock().insert(name, Child::Is(Arc::downgrade(&dentry)));
        if self.dentry.name_cache == NameCache::Keep {
            cache.keep(&dentry);
        }
        dentry
    }

    /// Notes that `name` does not exist (any more).
    pub(crate) fn forget(&self, name: &[u8], cache: &DentryCache) {
        if self.dentry.name_cache == NameCache::Never {
            self.dentry.state.lock().children.remove(name);
            return;
        }
        let absent = Arc::new(Absent::default());
        self.dentry.state.lock().insert(name, Child::IsNot(Arc::downgrade(&absent)));
        cache.keep_absent(absent);
    }

    /// Notes that `dentry` now is the name `name` in this directory, after a rename.
    pub(crate) fn adopt(&self, name: &[u8], dentry: &Arc<Dentry>) {
        let before = {
            let mut state = dentry.state.lock();
            state.name = name.into();
            state.parent.replace(Arc::clone(self.dentry))
        };
        drop(before);
        self.dentry.state.lock().insert(name, Child::Is(Arc::downgrade(dentry)));
    }
}

impl Absent {
    /// Takes the note that it was used since the last time.
    pub(super) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }
}

impl Drop for Dentry {
    fn drop(&mut self) {
        // A loop in place of the recursion: the guest decides how deep its directories are.
        let mut parent = self.state.get_mut().parent.take();
        while let Some(mut dentry) = parent.and_then(Arc::into_inner) {
            parent = dentry.state.get_mut().parent.take();
        }
    }
}

impl fmt::Debug for Dentry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.state.try_lock().map(|state| String::from_utf8_lossy(&state.name).into_owned());
        f.debug_struct("Dentry").field("name", &name).field("inode", &self.inode).finish_non_exhaustive()
    }
}
