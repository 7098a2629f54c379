//! The entries of directories.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::TmpfsInode;
use crate::error::Errno;
use crate::fs::{DirectorySink, FileKind};
use crate::prelude::errno;

/// The entries of a directory. Each has a position of its own for as long as it exists, in the order in which they were
/// made: a reader that goes on from a position misses nothing, whatever was removed.
#[derive(Debug)]
pub(super) struct Entries {
    by_name: HashMap<Box<[u8]>, Entry>,
    by_position: BTreeMap<u64, Box<[u8]>>,
    next_position: u64,
    /// The directory was removed: nothing can be made in it any more.
    is_dead: bool,
    /// How many entries are directories.
    subdirectories: u32,
}

#[derive(Clone, Debug)]
struct Entry {
    inode: Arc<TmpfsInode>,
    position: u64,
}

/// The saved form of the entries of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EntriesImage {
    entries: Vec<EntryImage>,
    next_position: u64,
    is_dead: bool,
}

/// The saved form of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct EntryImage {
    name: Box<[u8]>,
    position: u64,
    inode: u64,
}

/// The position of the first entry: 0 and 1 are `.` and `..`.
pub(super) const FIRST_POSITION: u64 = 2;

impl Default for Entries {
    fn default() -> Self {
        Self {
            by_name: HashMap::new(),
            by_position: BTreeMap::new(),
            next_position: FIRST_POSITION,
            is_dead: false,
            subdirectories: 0,
        }
    }
}

impl Entries {
    pub(super) fn get(&self, name: &[u8]) -> Option<&Arc<TmpfsInode>> {
        self.by_name.get(name).map(|entry| &entry.inode)
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Returns the number of links: its name, its `.`, and the `..` of each subdirectory; none once it is removed.
    pub(super) fn links(&self) -> u32 {
        if self.is_dead { 0 } else { self.subdirectories.saturating_add(2) }
    }

    /// Adds an entry, or replaces what an entry is.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the directory was removed.
    pub(super) fn insert(&mut self, name: &[u8], inode: Arc<TmpfsInode>) -> Result<(), Errno> {
        if self.is_dead {
            return Err(errno::ENOENT);
        }
        if is_directory(&inode) {
            self.subdirectories += 1;
        }
        match self.by_name.get_mut(name) {
            Some(entry) => {
                let before = std::mem::replace(&mut entry.inode, inode);
                if is_directory(&before) {
                    self.subdirectories = self.subdirectories.saturating_sub(1);
                }
            }
            None => {
                let position = self.next_position;
                self.next_position += 1;
                self.by_name.insert(name.into(), Entry { inode, position });
                self.by_position.insert(position, name.into());
            }
        }
        Ok(())
    }

    /// Removes an entry.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is none.
    pub(super) fn remove(&mut self, name: &[u8]) -> Result<Arc<TmpfsInode>, Errno> {
        let entry = self.by_name.remove(name).ok_or(errno::ENOENT)?;
        self.by_position.remove(&entry.position);
        if is_directory(&entry.inode) {
            self.subdirectories = self.subdirectories.saturating_sub(1);
        }
        Ok(entry.inode)
    }

    /// Makes the directory one in which nothing can be made any more.
    ///
    /// # Errors
    ///
    /// `ENOTEMPTY` if there are entries.
    pub(super) fn kill(&mut self) -> Result<(), Errno> {
        if !self.by_name.is_empty() {
            return Err(errno::ENOTEMPTY);
        }
        self.is_dead = true;
        Ok(())
    }

    /// Takes all entries out.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Arc<TmpfsInode>> + use<> {
        self.by_position.clear();
        std::mem::take(&mut self.by_name).into_values().map(|entry| entry.inode)
    }

    /// Returns the saved form.
    pub(super) fn to_image(&self) -> EntriesImage {
        let image = |(name, entry): (&[u8], &Entry)| EntryImage {
            name: name.into(),
            position: entry.position,
            inode: entry.inode.number(),
        };
        EntriesImage {
            entries: self.in_order().map(image).collect(),
            next_position: self.next_position,
            is_dead: self.is_dead,
        }
    }

    /// Brings the entries back; `inode_of` finds inodes by their numbers.
    ///
    /// # Errors
    ///
    /// `EINVAL` if an inode is not there, or two entries have one name or position.
    pub(super) fn from_image(
        image: EntriesImage,
        mut inode_of: impl FnMut(u64) -> Option<Arc<TmpfsInode>>,
    ) -> Result<Self, Errno> {
        let mut entries = Self::default();
        for EntryImage { name, position, inode } in image.entries {
            let inode = inode_of(inode).ok_or(errno::EINVAL)?;
            if !(FIRST_POSITION..image.next_position).contains(&position)
                || entries.by_name.contains_key(&name)
            {
                return Err(errno::EINVAL);
            }
            entries.next_position = position;
            entries.insert(&name, inode)?;
        }
        let is_whole = entries.by_name.len() == entries.by_position.len();
        entries.next_position = image.next_position;
        entries.is_dead = image.is_dead;
        if is_whole { Ok(entries) } else { Err(errno::EINVAL) }
    }

    /// Gives `sink` the entries from `position` on, and moves it.
    pub(super) fn read(&self, position: &mut u64, sink: &mut dyn DirectorySink) {
        let range = (Bound::Included((*position).max(FIRST_POSITION)), Bound::Unbounded);
        for (at, name) in self.by_position.range(range) {
            let Some(entry) = self.by_name.get(name) else { continue };
            if !sink.entry(entry.inode.number(), at + 1, entry.inode.file_kind(), name) {
                return;
            }
            *position = at + 1;
        }
    }

    /// Returns the inodes of the entries in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Arc<TmpfsInode>)> {
        self.in_order().map(|(name, entry)| (name, &entry.inode))
    }

    fn in_order(&self) -> impl Iterator<Item = (&[u8], &Entry)> {
        self.by_position.values().filter_map(|name| self.by_name.get(name).map(|entry| (&**name, entry)))
    }
}

fn is_directory(inode: &TmpfsInode) -> bool {
    inode.file_kind() == FileKind::Directory
}
