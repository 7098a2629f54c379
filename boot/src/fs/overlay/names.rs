//! The names of a directory that differ from the lower ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::OverlayInode;
use super::file_system::Key;
use crate::error::Errno;
use crate::fs::{FileKind, Inode, NewInode, NewInodeKind, RenameMode};
use crate::prelude::errno;

/// The names of a directory that differ from the lower ones.
#[derive(Debug, Default)]
pub(super) struct Names {
    changed: BTreeMap<Box<[u8]>, Name>,
}

/// A name that differs.
#[derive(Clone, Debug)]
pub(super) enum Name {
    /// It stands for this object.
    Is {
        object: Arc<OverlayInode>,
        /// The lower directory has the name too.
        hides: bool,
    },
    /// The lower directory has the name, but it was removed: what overlayfs calls a whiteout.
    Removed,
}

impl Names {
    /// Returns all names that differ, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Name)> {
        self.changed.iter().map(|(name, what)| (&**name, what))
    }

    /// Lets a name differ that did so when it was saved.
    pub(super) fn restore(&mut self, name: Box<[u8]>, what: Name) {
        self.changed.insert(name, what);
    }

    /// Returns what has become of a name; `None` if it is as below.
    pub(super) fn get(&self, name: &[u8]) -> Option<&Name> {
        self.changed.get(name)
    }

    /// Returns the names that stand for something, in their order.
    pub(super) fn present(&self) -> impl Iterator<Item = (&[u8], &Arc<OverlayInode>)> {
        self.changed.iter().filter_map(|(name, what)| match what {
            Name::Is { object, .. } => Some((&**name, object)),
            Name::Removed => None,
        })
    }
}

impl OverlayInode {
    /// Returns the object that `name` stands for in this directory.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is none.
    pub(super) fn child(&self, name: &[u8]) -> Result<Arc<Self>, Errno> {
        if self.kind() != FileKind::Directory {
            return Err(errno::ENOTDIR);
        }
        if let Some(changed) = self.state.lock().names.get(name) {
            return match changed {
                Name::Is { object, .. } => Ok(Arc::clone(object)),
                Name::Removed => Err(errno::ENOENT),
            };
        }
        let lower = self.lower.as_ref().ok_or(errno::ENOENT)?;
        self.file_system.object(lower.lookup(name)?)
    }

    /// Returns whether the lower directory has `name`.
    fn is_below(&self, name: &[u8]) -> Result<bool, Errno> {
        match self.state.lock().names.get(name) {
            Some(Name::Is { hides, .. }) => return Ok(*hides),
            Some(Name::Removed) => return Ok(true),
            None => {}
        }
        let Some(lower) = &self.lower else { return Ok(false) };
        match lower.lookup(name) {
            Ok(_) => Ok(true),
            Err(errno::ENOENT) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Lets `name` stand for `object`.
    fn set_name(&self, name: &[u8], object: &Arc<Self>) -> Result<(), Errno> {
        let hides = self.is_below(name)?;
        let new = Name::Is { object: Arc::clone(object), hides };
        let before = self.state.lock().names.changed.insert(name.into(), new);
        drop(before);
        self.keep();
        Ok(())
    }

    /// Lets `name` stand for nothing.
    fn clear_name(&self, name: &[u8]) -> Result<(), Errno> {
        let hides = self.is_below(name)?;
        let before = {
            let changed = &mut self.state.lock().names.changed;
            if hides { changed.insert(name.into(), Name::Removed) } else { changed.remove(name) }
        };
        drop(before);
        self.keep();
        Ok(())
    }

    /// Keeps this directory, whose names changed.
    fn keep(&self) {
        if let Some(lower) = &self.lower {
            self.file_system.pin(Key::of(lower));
        }
    }

    /// Makes an object with a new name.
    pub(super) fn make(&self, name: &[u8], new: &NewInode) -> Result<Arc<Self>, Errno> {
        let is_directory = matches!(new.kind, NewInodeKind::Directory);
        let object = Self::new(&self.file_system, new, if is_directory { 2 } else { 1 })?;
        self.touch()?;
        self.set_name(name, &object)?;
        if is_directory {
            self.change_links(1);
        }
        Ok(object)
    }

    /// Gives `object` another name.
    pub(super) fn add_link(&self, name: &[u8], object: &Arc<Self>) -> Result<(), Errno> {
        // As in overlayfs a lower object becomes an upper one: its time of change is another now.
        object.upper()?;
        self.touch()?;
        self.set_name(name, object)?;
        object.change_links(1);
        Ok(())
    }

    /// Removes a name of `victim`.
    pub(super) fn remove(&self, name: &[u8], victim: &Self) -> Result<(), Errno> {
        self.touch()?;
        self.clear_name(name)?;
        self.drop_name_of(victim);
        Ok(())
    }

    /// Takes note that `victim` has lost a name in this directory.
    fn drop_name_of(&self, victim: &Self) {
        victim.change_links(-1);
        if victim.kind() == FileKind::Directory {
            self.change_links(-1);
        }
    }

    /// Checks that this directory has no names.
    ///
    /// # Errors
    ///
    /// `ENOTEMPTY` if it has.
    pub(super) fn check_empty(&self) -> Result<(), Errno> {
        if self.state.lock().names.present().next().is_some() {
            return Err(errno::ENOTEMPTY);
        }
        let Some(lower) = &self.lower else { return Ok(()) };
        let below = Arc::clone(lower).names()?;
        let state = self.state.lock();
        let is_removed = |name: &[u8]| matches!(state.names.get(name), Some(Name::Removed));
        if below.iter().all(|entry| is_removed(&entry.name)) { Ok(()) } else { Err(errno::ENOTEMPTY) }
    }

    /// Renames `name` of this directory to `to_name` of `to`.
    pub(super) fn rename_to(
        &self,
        name: &[u8],
        to: &Arc<Self>,
        to_name: &[u8],
        mode: RenameMode,
    ) -> Result<(), Errno> {
        let object = self.child(name)?;
        let target = match to.child(to_name) {
            Ok(target) => Some(target),
            Err(errno::ENOENT) => None,
            Err(other) => return Err(other),
        };
        self.touch()?;
        to.touch()?;
        match (mode, target) {
            (RenameMode::NoReplace, Some(_)) => return Err(errno::EEXIST),
            (RenameMode::Exchange, None) => return Err(errno::ENOENT),
            (RenameMode::Exchange, Some(target)) => {
                self.set_name(name, &target)?;
                to.set_name(to_name, &object)?;
                self.move_directory_count(to, &object);
                to.move_directory_count(self, &target);
            }
            (RenameMode::Replace | RenameMode::NoReplace, target) => {
                if let Some(target) = target {
                    if target.kind() == FileKind::Directory {
                        target.check_empty()?;
                    }
                    to.drop_name_of(&target);
                }
                to.set_name(to_name, &object)?;
                self.clear_name(name)?;
                self.move_directory_count(to, &object);
            }
        }
        Ok(())
    }

    /// Takes note that `object` has moved from this directory to `to`: a directory counts those in it among its names.
    fn move_directory_count(&self, to: &Self, object: &Self) {
        if object.kind() == FileKind::Directory && !std::ptr::eq(self, to) {
            self.change_links(-1);
            to.change_links(1);
        }
    }
}
