//! Descriptor tables.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bitflags::bitflags;
use cloister_sync::{Lock, class};
use serde::{Deserialize, Serialize};

use super::{FileCx, LockOwner, OpenFile, image};
use crate::error::Errno;
use crate::prelude::errno;
use crate::task::Task;

bitflags! {
    /// The flags of a descriptor (`fcntl(2)`, `F_GETFD`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub(crate) struct FdFlags: u8 {
        /// `FD_CLOEXEC`.
        const CLOSE_ON_EXEC = 1;
    }
}

impl FdFlags {
    /// Returns the flags that a call's close-on-exec flag asks for.
    pub(crate) fn close_on_exec(is_set: bool) -> Self {
        if is_set { Self::CLOSE_ON_EXEC } else { Self::empty() }
    }
}

#[derive(Clone, Debug)]
struct Slot {
    file: Arc<OpenFile>,
    flags: FdFlags,
}

#[derive(Clone, Debug, Default)]
struct Slots {
    slots: Vec<Option<Slot>>,
    /// No slot below is free.
    first_free: usize,
}

/// The descriptors of one or more tasks.
#[derive(Debug)]
pub(crate) struct FdTable {
    id: u64,
    slots: Lock<Slots, { class::FD_TABLE }>,
}

/// The id of the next table.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Default for FdTable {
    fn default() -> Self {
        Self::with_slots(Slots::default())
    }
}

impl Slots {
    fn get(&self, fd: i32) -> Option<&Slot> {
        self.slots.get(usize::try_from(fd).ok()?)?.as_ref()
    }

    fn get_mut(&mut self, fd: i32) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(fd).ok()?)?.as_mut()
    }

    /// Puts a slot at `index`, and returns what was there.
    fn put(&mut self, index: usize, slot: Slot) -> Option<Slot> {
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        self.slots.get_mut(index).and_then(|entry| entry.replace(slot))
    }

    fn take(&mut self, index: usize) -> Option<Slot> {
        let slot = self.slots.get_mut(index)?.take()?;
        self.first_free = self.first_free.min(index);
        Some(slot)
    }
}

impl FdTable {
    /// Makes an empty table with the number `id`, which no other has.
    pub(super) fn with_id(id: u64) -> Self {
        image::reserve(&NEXT_ID, id);
        Self { id, slots: Lock::new(Slots::default()) }
    }

    fn with_slots(slots: Slots) -> Self {
        Self { id: NEXT_ID.fetch_add(1, Ordering::Relaxed), slots: Lock::new(slots) }
    }

    /// Returns the number by which the processes that share it own record locks: no other table has it.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Returns the file that `fd` refers to.
    pub(crate) fn get(&self, fd: i32) -> Option<Arc<OpenFile>> {
        self.slots.lock().get(fd).map(|slot| Arc::clone(&slot.file))
    }

    /// Returns the flags of `fd`.
    pub(crate) fn flags(&self, fd: i32) -> Option<FdFlags> {
        self.slots.lock().get(fd).map(|slot| slot.flags)
    }

    /// Sets the flags of `fd`.
    ///
    /// # Errors
    ///
    /// `EBADF` if it is not open.
    pub(crate) fn set_flags(&self, fd: i32, flags: FdFlags) -> Result<(), Errno> {
        self.slots.lock().get_mut(fd).ok_or(errno::EBADF)?.flags = flags;
        Ok(())
    }

    /// Gives `file` the lowest free descriptor, which is below `limit` (`RLIMIT_NOFILE`).
    ///
    /// # Errors
    ///
    /// `EMFILE` if there is none.
    pub(crate) fn add(&self, file: Arc<OpenFile>, flags: FdFlags, limit: u64) -> Result<i32, Errno> {
        self.add_from(0, file, flags, limit)
    }

    /// Gives `file` the lowest free descriptor that is not below `least` (`fcntl(2)`, `F_DUPFD`); it is below `limit`.
    ///
    /// # Errors
    ///
    /// `EMFILE` if there is none.
    pub(crate) fn add_from(
        &self,
        least: i32,
        file: Arc<OpenFile>,
        flags: FdFlags,
        limit: u64,
    ) -> Result<i32, Errno> {
        let mut table = self.slots.lock();
        let least = usize::try_from(least).map_err(|_| errno::EINVAL)?;
        let start = least.max(table.first_free);
        let free = table.slots.iter().skip(start).position(Option::is_none);
        let index = free.map_or_else(|| start.max(table.slots.len()), |free| start + free);
        let fd = i32::try_from(index).map_err(|_| errno::EMFILE)?;
        if index as u64 >= limit {
            return Err(errno::EMFILE);
        }
        table.put(index, Slot { file, flags });
        if start == table.first_free {
            table.first_free = index + 1;
        }
        Ok(fd)
    }

    /// Makes the descriptor `fd` refer to `file` (`dup2(2)`). Returns what it referred to, which the caller closes
    /// ([`FdTable::finish_close`]).
    ///
    /// # Errors
    ///
    /// `EBADF` if it is not below `limit`.
    pub(crate) fn replace(
        &self,
        fd: i32,
        file: Arc<OpenFile>,
        flags: FdFlags,
        limit: u64,
    ) -> Result<Option<Arc<OpenFile>>, Errno> {
        let index = usize::try_from(fd).map_err(|_| errno::EBADF)?;
        if index as u64 >= limit {
            return Err(errno::EBADF);
        }
        let before = self.slots.lock().put(index, Slot { file, flags });
        Ok(before.map(|slot| slot.file))
    }

    /// Takes the descriptor `fd` out; the caller closes what it referred to ([`FdTable::finish_close`]).
    pub(crate) fn remove(&self, fd: i32) -> Option<Arc<OpenFile>> {
        let index = usize::try_from(fd).ok()?;
        self.slots.lock().take(index).map(|slot| slot.file)
    }

    /// Takes out the descriptors from `first` to `last` for which `is_meant` says so.
    fn remove_if(&self, first: u32, last: u32, is_meant: impl Fn(FdFlags) -> bool) -> Vec<Arc<OpenFile>> {
        let mut table = self.slots.lock();
        let end = table.slots.len().min((last as usize).saturating_add(1));
        let mut removed = Vec::new();
        for index in (first as usize)..end {
            let is_meant =
                table.slots.get(index).and_then(Option::as_ref).is_some_and(|slot| is_meant(slot.flags));
            if is_meant && let Some(slot) = table.take(index) {
                removed.push(slot.file);
            }
        }
        removed
    }

    /// Closes the descriptors from `first` to `last` (`close_range(2)`).
    pub(crate) fn close_range(&self, task: &Arc<Task>, first: u32, last: u32) {
        for file in self.remove_if(first, last, |_| true) {
            self.finish_close(task, &file);
        }
    }

    /// Sets the close-on-exec flag of the descriptors from `first` to `last` (`CLOSE_RANGE_CLOEXEC`).
    pub(crate) fn close_range_on_exec(&self, first: u32, last: u32) {
        let mut table = self.slots.lock();
        let count = (last as usize).saturating_add(1).saturating_sub(first as usize);
        for slot in table.slots.iter_mut().skip(first as usize).take(count).flatten() {
            slot.flags |= FdFlags::CLOSE_ON_EXEC;
        }
    }

    /// Closes the descriptors that are not to survive an `execve(2)`.
    pub(crate) fn close_on_exec(&self, task: &Arc<Task>) {
        for file in self.remove_if(0, u32::MAX, |flags| flags.contains(FdFlags::CLOSE_ON_EXEC)) {
            self.finish_close(task, &file);
        }
    }

    /// Returns a copy of `other`, for a fork, an `execve` or an `unshare`.
    pub(crate) fn copy_of(other: &Self) -> Self {
        Self::with_slots(other.slots.lock().clone())
    }

    /// Returns the open descriptors in their order.
    pub(crate) fn entries(&self) -> Vec<(i32, FdFlags, Arc<OpenFile>)> {
        let table = self.slots.lock();
        (0..)
            .zip(&table.slots)
            .filter_map(|(fd, slot)| slot.as_ref().map(|s| (fd, s.flags, Arc::clone(&s.file))))
            .collect()
    }

    /// Returns how many descriptors there is room for now (`FDSize` of `/proc/PID/status`).
    pub(crate) fn capacity(&self) -> usize {
        self.slots.lock().slots.len().next_multiple_of(64).max(64)
    }

    /// Does what goes with the closing of a descriptor that was taken out of the table: flushes the file, and gives up the
    /// process' record locks of it (`fcntl(2)`: all of them, whatever descriptor they were taken with).
    pub(crate) fn finish_close(&self, task: &Arc<Task>, file: &Arc<OpenFile>) {
        if file.is_path() {
            return;
        }
        file.ops().flush(&FileCx { task, file });
        if let Some(anchors) = file.inode().anchors().get() {
            anchors.locks.release(LockOwner::Process(self.id));
        }
    }

    /// Gives the table up: the last task that does so closes all descriptors.
    pub(crate) fn release(self: Arc<Self>, task: &Arc<Task>) {
        if let Some(table) = Arc::into_inner(self) {
            table.close_range(task, 0, u32::MAX);
            task.kernel().vfs.lock_waits.remove(LockOwner::Process(table.id));
        }
    }
}
