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

use cloister_sync::{Lock, class};

pub(crate) use message::{Message, MessageQueue, Select};
pub(crate) use permission::{IpcAccess, IpcPermission};
pub(crate) use semaphore::{MAX_VALUE, Operated, Operator, SemaphoreOp, SemaphoreSet, Semaphores, WaitFor};
pub(crate) use shared_memory::{SegmentData, SharedSegment};
pub(crate) use table::{Found, Get, IpcObject, IpcTable};

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

impl Ipc {
    /// Undoes what a process that has ended did to semaphores with `SEM_UNDO`.
    pub(crate) fn on_process_exit(&self, tgid: Pid) {
        self.semaphores.lock().undo(tgid);
    }
}
