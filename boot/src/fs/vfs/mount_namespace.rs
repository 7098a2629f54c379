//! Mount namespaces (`mount_namespaces(7)`): which mounts there are, and on what.
//!
//! # Locking
//!
//! The table's lock is [`class::MOUNT`]; each mount's own note of its mount point is [`class::MOUNT_POINT`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use cloister_sync::{Lock, class};
use hashbrown::HashMap;

use super::{Dentry, DentryCache, FileKind, Mount, NewMount, Path};
use crate::error::Errno;
use crate::prelude::errno;

/// The mounts that a set of tasks sees.
#[derive(Debug)]
pub(crate) struct MountNamespace {
    this: Weak<Self>,
    cache: Arc<DentryCache>,
    table: Lock<Table, { class::MOUNT }>,
}

#[derive(Debug)]
struct Table {
    root: Arc<Mount>,
    /// By id: a child has a higher id than its parent, except after moves.
    mounts: BTreeMap<u32, Arc<Mount>>,
    /// By mount point.
    by_point: HashMap<Point, Arc<Mount>>,
}

/// The id of a mount and the address of a dentry in it, which the mount on it keeps alive.
type Point = (u32, usize);

/// The most mounts of a namespace (`/proc/sys/fs/mount-max`).
const MOUNT_MAX: usize = 100_000;

/// The id of the next mount.
static NEXT_ID: AtomicU32 = AtomicU32::new(20);

fn point(path: &Path) -> Point {
    (path.mount.id, Arc::as_ptr(&path.dentry).addr())
}

fn new_id() -> u32 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

impl MountNamespace {
    /// Makes a namespace whose root is `root`.
    pub(crate) fn new(root: NewMount, cache: Arc<DentryCache>) -> Arc<Self> {
        Self::with_root_id(new_id(), root, cache)
    }

    /// Makes a namespace whose root mount has the id `id`.
    pub(super) fn with_root_id(id: u32, root: NewMount, cache: Arc<DentryCache>) -> Arc<Self> {
        NEXT_ID.fetch_max(id.saturating_add(1), Ordering::Relaxed);
        Arc::new_cyclic(|this| {
            let root = Mount::new(id, root, Arc::clone(&cache), this.clone());
            let mounts = BTreeMap::from([(root.id, Arc::clone(&root))]);
            Self {
                this: this.clone(),
                cache,
                table: Lock::new(Table { root, mounts, by_point: HashMap::new() }),
            }
        })
    }

    /// Returns the root directory.
    pub(crate) fn root(&self) -> Path {
        let root = Arc::clone(&self.table.lock().root);
        Path { dentry: Arc::clone(&root.root), mount: root }.into_mounted()
    }

    /// Returns the mounts in the order of their ids.
    pub(crate) fn mounts(&self) -> Vec<Arc<Mount>> {
        self.table.lock().mounts.values().cloned().collect()
    }

    /// Returns what is mounted on `at`.
    pub(crate) fn mounted_at(&self, at: &Path) -> Option<Arc<Mount>> {
        self.table.lock().by_point.get(&point(at)).cloned()
    }

    /// Mounts `new` on `at`, on top of what is there.
    ///
    /// # Errors
    ///
    /// `ENOTDIR` if one is a directory and the other is not, `ENOENT` if `at` was removed, `EINVAL` if it is not in this
    /// namespace, `ENOSPC` if there are too many mounts.
    pub(crate) fn mount(&self, new: NewMount, at: Path) -> Result<Arc<Mount>, Errno> {
        self.mount_with_id(new_id(), new, at)
    }

    /// Mounts `new` with the id `id` on `at`.
    ///
    /// # Errors
    ///
    /// As [`MountNamespace::mount`].
    pub(super) fn mount_with_id(&self, id: u32, new: NewMount, at: Path) -> Result<Arc<Mount>, Errno> {
        NEXT_ID.fetch_max(id.saturating_add(1), Ordering::Relaxed);
        let mount = Mount::new(id, new, Arc::clone(&self.cache), self.this.clone());
        self.attach(&mount, at)?;
        Ok(mount)
    }

    /// Returns the mount of the root.
    pub(super) fn root_mount(&self) -> Arc<Mount> {
        Arc::clone(&self.table.lock().root)
    }

    /// Returns the mounts, each after the one that it is on.
    pub(super) fn mounts_in_order(&self) -> Vec<Arc<Mount>> {
        let mut mounts = self.mounts();
        mounts.sort_by_cached_key(depth);
        mounts
    }

    fn attach(&self, mount: &Arc<Mount>, at: Path) -> Result<(), Errno> {
        let at = at.into_mounted();
        let is_directory = |kind| kind == FileKind::Directory;
        if is_directory(mount.root.inode().kind()) != is_directory(at.inode().kind()) {
            return Err(errno::ENOTDIR);
        }
        if at.dentry.is_removed() {
            return Err(errno::ENOENT);
        }
        let mut table = self.table.lock();
        if !table.mounts.contains_key(&at.mount.id) {
            return Err(errno::EINVAL);
        }
        if table.mounts.len() >= MOUNT_MAX {
            return Err(errno::ENOSPC);
        }
        table.by_point.insert(point(&at), Arc::clone(mount));
        table.mounts.insert(mount.id, Arc::clone(mount));
        let before = mount.set_mount_point(Some(at));
        drop(table);
        drop(before);
        Ok(())
    }

    /// Mounts what is at `from` on `at` too (`MS_BIND`); with `recursive`, also the mounts below it (`MS_REC`).
    ///
    /// # Errors
    ///
    /// As [`MountNamespace::mount`].
    pub(crate) fn bind(&self, from: &Path, at: Path, recursive: Recursive) -> Result<Arc<Mount>, Errno> {
        let below = match recursive {
            Recursive::No => Vec::new(),
            Recursive::Yes => self.mounts_below(from),
        };
        let top = self.mount(again(&from.mount, Arc::clone(&from.dentry)), at)?;
        let mut copies: HashMap<_, _> = HashMap::from([(from.mount.id, Arc::clone(&top))]);
        for original in below {
            let Some(place) = original.mount_point() else { continue };
            // Parents come before children, so the copy of the parent is there.
            let Some(parent) = copies.get(&place.mount.id) else { continue };
            let at = Path::new(Arc::clone(parent), place.dentry);
            let copy = self.mount(again(&original, Arc::clone(&original.root)), at)?;
            copies.insert(original.id, copy);
        }
        Ok(top)
    }

    /// Returns the mounts on names below `path`, parents before children.
    fn mounts_below(&self, path: &Path) -> Vec<Arc<Mount>> {
        let mut below: Vec<_> = self
            .mounts()
            .into_iter()
            .filter(|mount| mount.mount_point().is_some_and(|point| point.is_within(path)))
            .collect();
        below.sort_by_cached_key(depth);
        below
    }

    /// Detaches a mount, unless it is the root. With `lazily` (`MNT_DETACH`) also one that is in use, with all below.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it is in use, or has mounts below; `EINVAL` for the root, and for what is not mounted here.
    pub(crate) fn unmount(&self, mount: &Arc<Mount>, when: Unmount) -> Result<(), Errno> {
        let root = Path::new(Arc::clone(mount), Arc::clone(&mount.root));
        let mut below = self.mounts_below(&root);
        drop(root);
        match when {
            // The table has two references, and the caller one.
            Unmount::IfUnused if !below.is_empty() || Arc::strong_count(mount) > 3 => {
                return Err(errno::EBUSY);
            }
            Unmount::IfUnused | Unmount::Lazily => {}
        }
        below.insert(0, Arc::clone(mount));
        while let Some(mount) = below.pop() {
            self.detach(&mount)?;
        }
        self.cache.clear();
        Ok(())
    }

    fn detach(&self, mount: &Arc<Mount>) -> Result<(), Errno> {
        let mut table = self.table.lock();
        if !table.mounts.contains_key(&mount.id) || Arc::ptr_eq(mount, &table.root) {
            return Err(errno::EINVAL);
        }
        let before = mount.set_mount_point(None);
        let removed = before.as_ref().and_then(|at| table.by_point.remove(&point(at)));
        let entry = table.mounts.remove(&mount.id);
        drop(table);
        drop((before, removed, entry));
        Ok(())
    }

    /// Moves a mount to `at` (`MS_MOVE`).
    ///
    /// # Errors
    ///
    /// `EINVAL` for the root, `ELOOP` if `at` is below the mount, or as [`MountNamespace::mount`].
    pub(crate) fn move_to(&self, mount: &Arc<Mount>, at: Path) -> Result<(), Errno> {
        if at.is_within(&Path::new(Arc::clone(mount), Arc::clone(&mount.root))) {
            return Err(errno::ELOOP);
        }
        let from = mount.mount_point().ok_or(errno::EINVAL)?;
        self.attach(mount, at)?;
        let removed = self.table.lock().by_point.remove(&point(&from));
        drop(removed);
        Ok(())
    }

    /// Makes `new_root`, the root of a mount, the namespace's root, and moves what was the root of the caller to `put_old`
    /// (`pivot_root(2)`).
    ///
    /// # Errors
    ///
    /// `EINVAL` if one of the paths is not what it has to be, `EBUSY` if `new_root` or `put_old` is in the mount of the
    /// root.
    pub(crate) fn pivot_root(&self, old_root: &Path, new_root: &Path, put_old: &Path) -> Result<(), Errno> {
        if Arc::ptr_eq(&new_root.mount, &old_root.mount) || Arc::ptr_eq(&put_old.mount, &old_root.mount) {
            return Err(errno::EBUSY);
        }
        if !new_root.is_mount_root() || !old_root.is_mount_root() || !put_old.is_within(new_root) {
            return Err(errno::EINVAL);
        }
        let new_point = new_root.mount.mount_point().ok_or(errno::EINVAL)?;
        let mut table = self.table.lock();
        // The new root takes the place of the old one, which may be the top of the tree or a mount itself.
        let old_point = old_root.mount.set_mount_point(Some(put_old.clone()));
        table.by_point.remove(&point(&new_point));
        match &old_point {
            Some(at) => table.by_point.insert(point(at), Arc::clone(&new_root.mount)),
            None => Some(std::mem::replace(&mut table.root, Arc::clone(&new_root.mount))),
        };
        new_root.mount.set_mount_point(old_point);
        table.by_point.insert(point(put_old), Arc::clone(&old_root.mount));
        drop(table);
        Ok(())
    }

    /// Makes a namespace with copies of all mounts (`CLONE_NEWNS`). Returns it with the map from the ids of the mounts
    /// here to the copies, by which the paths that a task holds are moved over.
    pub(crate) fn copy(&self) -> (Arc<Self>, HashMap<u32, Arc<Mount>>) {
        let root = Arc::clone(&self.table.lock().root);
        let namespace = Self::new(again(&root, Arc::clone(&root.root)), Arc::clone(&self.cache));
        let new_root = Arc::clone(&namespace.table.lock().root);
        let mut copies: HashMap<_, _> = HashMap::from([(root.id, new_root)]);
        for original in self.mounts_in_order() {
            let Some(place) = original.mount_point() else { continue };
            let Some(parent) = copies.get(&place.mount.id) else { continue };
            let at = Path::new(Arc::clone(parent), place.dentry);
            if let Ok(copy) = namespace.mount(again(&original, Arc::clone(&original.root)), at) {
                copies.insert(original.id, copy);
            }
        }
        (namespace, copies)
    }
}

/// Whether the mounts below are meant too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recursive {
    /// Only the one.
    No,
    /// All of them.
    Yes,
}

/// When a mount is detached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unmount {
    /// Only if nobody uses it.
    IfUnused,
    /// Now; those who use it go on.
    Lazily,
}

/// Returns what mounts the part `root` of the file system of `mount` again.
fn again(mount: &Mount, root: Arc<Dentry>) -> NewMount {
    NewMount { root, source: mount.source.clone(), flags: mount.flags(), options: mount.options.clone() }
}

/// Returns how many mounts are above `mount`.
fn depth(mount: &Arc<Mount>) -> usize {
    std::iter::successors(mount.mount_point(), |point| point.mount.mount_point()).count()
}
