//! Descriptor tables.

use std::sync::Arc;

use bitflags::bitflags;
use cloister_sync::{Lock, class};
use serde::{Deserialize, Serialize};

use super::OpenFile;

bitflags! {
    /// The flags of a descriptor (`fcntl(2)`, `F_GETFD`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub(crate) struct FdFlags: u8 {
        /// `FD_CLOEXEC`.
        const CLOSE_ON_EXEC = 1;
    }
}

#[derive(Clone, Debug)]
struct Slot {
    file: Arc<OpenFile>,
    flags: FdFlags,
}

/// The descriptors of one or more tasks.
#[derive(Debug, Default)]
pub(crate) struct FdTable {
    slots: Lock<Vec<Option<Slot>>, { class::FD_TABLE }>,
}

impl FdTable {
    /// Returns a copy of `other`, for a fork.
    pub(crate) fn copy_of(other: &Self) -> Self {
        Self { slots: Lock::new(other.slots.lock().clone()) }
    }

    /// Returns the file that `fd` refers to.
    pub(crate) fn get(&self, fd: i32) -> Option<Arc<OpenFile>> {
        let index = usize::try_from(fd).ok()?;
        self.slots.lock().get(index)?.as_ref().map(|slot| Arc::clone(&slot.file))
    }

    /// Returns the flags of `fd`.
    pub(crate) fn flags(&self, fd: i32) -> Option<FdFlags> {
        let index = usize::try_from(fd).ok()?;
        self.slots.lock().get(index)?.as_ref().map(|slot| slot.flags)
    }
}
