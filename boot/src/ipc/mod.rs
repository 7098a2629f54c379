//! System V inter-process communication (`sysvipc(7)`): shared memory, semaphores, message queues.
//!
//! There is one namespace, the kernel's [`Ipc`]. An object is known by an id, and may be found by a key. Shared memory
//! is a [`MemoryObject`](crate::mm::MemoryObject) as any other that is mapped: how often it is attached is how many
//! mappings hold it.
//!
//! # Locking
//!
//! One lock of [`class::IPC`] for each of the three kinds. Waiters are woken with it held; guest memory is not touched.
//!
//! # Snapshot
//!
//! Semaphores and messages are plain data (`SemaphoreData`, `QueueData`). Waiting calls begin anew.

mod message;
mod permission;
mod semaphore;
mod shared_memory;
mod table;

use std::sync::Arc;

use cloister_sync::{Lock, class};
use serde::{Deserialize, Serialize};

pub(crate) use message::{Message, MessageQueue, QueueData, Select};
pub(crate) use permission::{IpcAccess, IpcPermission};
pub(crate) use semaphore::{
    MAX_VALUE, Operated, Operator, SemaphoreOp, SemaphoreSet, Semaphores, SemaphoresImage, WaitFor,
};
pub(crate) use shared_memory::{SegmentData, SharedSegment};
pub(crate) use table::{Found, Get, IpcObject, IpcTable, IpcTableImage};

use crate::event::WaitQueue;
use crate::mm::MemoryObject;
use crate::task::Pid;

/// All System V objects.
#[derive(Debug, Default)]
pub(crate) struct Ipc {
    /// Shared memory segments.
    pub(crate) shared_memory: Lock<IpcTable<SharedSegment>, { class::IPC }>,
    /// Semaphore sets, and what is to be undone.
    pub(crate) semaphores: Lock<Semaphores, { class::IPC }>,
    /// Message queues.
    pub(crate) message_queues: Lock<IpcTable<MessageQueue>, { class::IPC }>,
}

/// The saved form of all System V objects; that of a segment names its memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IpcImage {
    shared_memory: IpcTableImage<SegmentImage>,
    semaphores: SemaphoresImage,
    message_queues: IpcTableImage<QueueData>,
}

/// The saved form of a shared memory segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SegmentImage {
    data: SegmentData,
    is_removed: bool,
    /// The id of its memory; `None`: it is gone, as the segment is about to be.
    memory: Option<u64>,
}

impl Ipc {
    /// Returns the saved form; `id_of` tells the ids of memory objects.
    pub(crate) fn to_image(&self, id_of: impl Fn(&Arc<MemoryObject>) -> u64) -> IpcImage {
        let segment = |segment: &SharedSegment| SegmentImage {
            data: segment.data.clone(),
            is_removed: segment.is_removed(),
            memory: segment.memory().as_ref().map(&id_of),
        };
        let shared_memory = self.shared_memory.lock().to_image(segment);
        let semaphores = self.semaphores.lock().to_image();
        let message_queues = self.message_queues.lock().to_image(|queue| queue.data.clone());
        IpcImage { shared_memory, semaphores, message_queues }
    }

    /// Brings the objects back, in place of those that there are; `object_of` finds memory objects by their ids. `None` if
    /// one is not there, or two objects have one id.
    pub(crate) fn restore(
        &self,
        image: IpcImage,
        object_of: impl Fn(u64) -> Option<Arc<MemoryObject>>,
    ) -> Option<()> {
        let segment = |image: SegmentImage| {
            let mut segment = SharedSegment::new(image.data, object_of(image.memory?)?);
            if image.is_removed {
                segment.mark_removed();
            }
            Some(segment)
        };
        let queue = |data| Some(MessageQueue { data, queue: WaitQueue::new() });
        let shared_memory = IpcTable::from_image(image.shared_memory, segment)?;
        let semaphores = Semaphores::from_image(image.semaphores)?;
        let message_queues = IpcTable::from_image(image.message_queues, queue)?;
        *self.shared_memory.lock() = shared_memory;
        *self.semaphores.lock() = semaphores;
        *self.message_queues.lock() = message_queues;
        Some(())
    }

    /// Undoes what a process that has ended did to semaphores with `SEM_UNDO`.
    pub(crate) fn on_process_exit(&self, tgid: Pid) {
        self.semaphores.lock().undo(tgid);
    }
}
