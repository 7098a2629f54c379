//! Descriptor tables.

use std::sync::Arc;

use bitflags::bitflags;
use cloister_sync::{Lock, class};
use serde::{Deserialize, Serialize};

use super::OpenFile;
use crate::error::Errno;
use crate::prelude::errno;

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

    /// Gives `file` the lowest free descriptor, which is below `limit` (`RLIMIT_NOFILE`).
    ///
    /// # Errors
    ///
    /// `EMFILE` if there is none.
    pub(crate) fn add(&self, file: Arc<OpenFile>, flags: FdFlags, limit: u64) -> Result<i32, Errno> {
        let mut slots = self.slots.lock();
        let index = slots.iter().position(Option::is_none).unwrap_or(slots.len());
        if index as u64 >= limit {
            return Err(errno::EMFILE);
        }
        let fd = i32::try_from(index).map_err(|_| errno::EMFILE)?;
        if index == slots.len() {
            slots.push(None);
        }
        slots[index] = Some(Slot { file, flags });
        Ok(fd)
    }

    /// Frees the descriptor `fd`, and returns the file that it referred to.
    pub(crate) fn remove(&self, fd: i32) -> Option<Arc<OpenFile>> {
        let index = usize::try_from(fd).ok()?;
        self.slots.lock().get_mut(index)?.take().map(|slot| slot.file)
    }
}
