//! A mapping: what Linux calls a virtual memory area.

use std::sync::Arc;

use bitflags::bitflags;
use cloister_collections::Segment;
use cloister_platform::{Backing, Protection};
use serde::{Deserialize, Serialize};

use super::MemoryObject;

bitflags! {
    /// What a mapping is besides its protection.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub(crate) struct VmaFlags: u16 {
        /// Writes are seen by all who map the same memory (`MAP_SHARED`).
        const SHARED = 1 << 0;
        /// It grows towards lower addresses when it is touched below its start (`MAP_GROWSDOWN`).
        const GROWS_DOWN = 1 << 1;
        /// It counts as locked (`mlock(2)`).
        const LOCKED = 1 << 2;
        /// A child does not get it (`MADV_DONTFORK`).
        const DONT_FORK = 1 << 3;
        /// A child gets it with zeros (`MADV_WIPEONFORK`).
        const WIPE_ON_FORK = 1 << 4;
        /// A core dump leaves it out (`MADV_DONTDUMP`).
        const DONT_DUMP = 1 << 5;
        /// No memory is set aside for it (`MAP_NORESERVE`).
        const NO_RESERVE = 1 << 6;
        /// Huge pages are wanted (`MADV_HUGEPAGE`).
        const HUGE_PAGES = 1 << 7;
        /// Huge pages are not wanted (`MADV_NOHUGEPAGE`).
        const NO_HUGE_PAGES = 1 << 8;
    }
}

/// What a mapping shows.
#[derive(Clone, Debug)]
pub(crate) enum VmaBacking {
    /// Zeros, private to the address space.
    Anonymous,
    /// A host file from an offset on.
    Object {
        /// The file.
        object: Arc<MemoryObject>,
        /// Where the mapping begins in it: whole pages.
        offset: u64,
    },
}

/// A name that does not follow from anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum VmaName {
    /// No name: the file's, the heap's, the stack's, or really none.
    #[default]
    None,
    /// The kernel's code in user space (`vdso(7)`).
    Vdso,
    /// Set by the program (`prctl(2)`, `PR_SET_VMA_ANON_NAME`).
    Anonymous(Arc<str>),
}

/// A mapping. Its range is its key in the tree.
#[derive(Clone, Debug)]
pub(crate) struct Vma {
    /// What may be done with it.
    pub(crate) protection: Protection,
    /// What `mprotect(2)` can allow.
    pub(crate) max_protection: Protection,
    /// What else it is.
    pub(crate) flags: VmaFlags,
    /// What it shows.
    pub(crate) backing: VmaBacking,
    /// What it is called.
    pub(crate) name: VmaName,
}

impl Vma {
    /// Returns private anonymous memory.
    pub(crate) fn anonymous(protection: Protection, flags: VmaFlags) -> Self {
        Self {
            protection,
            max_protection: Protection::all(),
            flags,
            backing: VmaBacking::Anonymous,
            name: VmaName::None,
        }
    }

    /// Returns whether writes are seen by all who map the same memory.
    pub(crate) fn is_shared(&self) -> bool {
        self.flags.contains(VmaFlags::SHARED)
    }

    /// Returns whether it grows when it is touched below its start.
    pub(crate) fn grows_down(&self) -> bool {
        self.flags.contains(VmaFlags::GROWS_DOWN)
    }

    /// Returns the file that it shows and where it begins in it.
    pub(crate) fn object(&self) -> Option<(&Arc<MemoryObject>, u64)> {
        match &self.backing {
            VmaBacking::Anonymous => None,
            VmaBacking::Object { object, offset } => Some((object, *offset)),
        }
    }

    /// Returns what the platform is to map for the part that begins `at` behind the start.
    pub(super) fn host_backing(&self, at: u64) -> Backing<'_> {
        match self.object() {
            None => Backing::Anonymous,
            Some((object, offset)) => {
                let (file, offset) = (object.host(), offset.wrapping_add(at));
                if self.is_shared() {
                    Backing::Shared { file, offset }
                } else {
                    Backing::Private { file, offset }
                }
            }
        }
    }

    /// Returns the part that begins `at` behind the start.
    pub(super) fn part(&self, at: u64) -> Self {
        let mut part = self.clone();
        if let VmaBacking::Object { offset, .. } = &mut part.backing {
            *offset = offset.wrapping_add(at);
        }
        part
    }
}

impl Segment for Vma {
    fn split_off(&mut self, at: u64) -> Self {
        self.part(at)
    }

    fn can_merge(&self, len: u64, next: &Self) -> bool {
        let continues = match (self.object(), next.object()) {
            (None, None) => true,
            (Some((object, offset)), Some((next_object, next_offset))) => {
                Arc::ptr_eq(object, next_object) && offset.checked_add(len) == Some(next_offset)
            }
            _ => false,
        };
        continues
            && self.protection == next.protection
            && self.max_protection == next.max_protection
            && self.flags == next.flags
            && self.name == next.name
    }
}
