//! Shared memory segments.

use std::sync::{Arc, Weak};

use serde::{Deserialize, Serialize};

use super::{IpcObject, IpcPermission};
use crate::mm::MemoryObject;
use crate::task::Pid;

/// What is known of a shared memory segment (`struct shmid_ds`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentData {
    /// Owners and mode.
    pub(crate) permission: IpcPermission,
    /// The size that was asked for.
    pub(crate) size: u64,
    /// When it was last attached, in seconds since 1970.
    pub(crate) attached: u64,
    /// When it was last detached.
    pub(crate) detached: u64,
    /// When it was made or changed.
    pub(crate) changed: u64,
    /// Who made it.
    pub(crate) creator: Pid,
    /// Who last attached or detached it.
    pub(crate) last: Pid,
}

/// A shared memory segment.
#[derive(Debug)]
pub(crate) struct SharedSegment {
    /// What is known of it.
    pub(crate) data: SegmentData,
    memory: Memory,
}

/// The memory of a segment.
#[derive(Debug)]
enum Memory {
    /// It is there whether it is attached or not.
    Kept(Arc<MemoryObject>),
    /// It was removed (`IPC_RMID`): it is there for as long as it is attached.
    Removed(Weak<MemoryObject>),
}

impl IpcObject for SharedSegment {
    fn permission(&self) -> &IpcPermission {
        &self.data.permission
    }
}

impl SharedSegment {
    /// Makes a segment.
    pub(crate) fn new(data: SegmentData, memory: Arc<MemoryObject>) -> Self {
        Self { data, memory: Memory::Kept(memory) }
    }

    /// Returns the memory; `None` if it is gone.
    pub(crate) fn memory(&self) -> Option<Arc<MemoryObject>> {
        match &self.memory {
            Memory::Kept(memory) => Some(Arc::clone(memory)),
            Memory::Removed(memory) => memory.upgrade(),
        }
    }

    /// Returns whether its memory is `object`.
    pub(crate) fn is(&self, object: &Arc<MemoryObject>) -> bool {
        match &self.memory {
            Memory::Kept(memory) => Arc::ptr_eq(memory, object),
            Memory::Removed(memory) => std::ptr::eq(memory.as_ptr(), Arc::as_ptr(object)),
        }
    }

    /// Returns how often it is attached: each mapping holds the memory once.
    pub(crate) fn attachments(&self) -> usize {
        match &self.memory {
            Memory::Kept(memory) => Arc::strong_count(memory) - 1,
            Memory::Removed(memory) => memory.strong_count(),
        }
    }

    /// Returns whether it was removed.
    pub(crate) fn is_removed(&self) -> bool {
        matches!(self.memory, Memory::Removed(_))
    }

    /// Returns whether it was removed and is attached nowhere any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_removed() && self.attachments() == 0
    }

    /// Removes it: no key finds it any more, and its memory goes with its last attachment. Returns the reference that
    /// kept the memory, to be dropped without a lock.
    pub(crate) fn mark_removed(&mut self) -> Option<Arc<MemoryObject>> {
        self.data.permission.key = 0;
        let Memory::Kept(memory) = &self.memory else { return None };
        let weak = Arc::downgrade(memory);
        match std::mem::replace(&mut self.memory, Memory::Removed(weak)) {
            Memory::Kept(memory) => Some(memory),
            Memory::Removed(_) => None,
        }
    }
}
