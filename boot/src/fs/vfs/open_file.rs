//! Open file descriptions.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use bitflags::bitflags;
use cloister_sync::{Lock, LockGuard, class};
use serde::{Deserialize, Serialize};

use super::{Attributes, FileKind, FileOps, Inode, LockOwner, MountFlags, Path, Timestamp, image, notify};
use crate::error::Errno;
use crate::prelude::errno;

bitflags! {
    /// How a file is open (`open(2)`), with Linux' numbers.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub(crate) struct OpenFlags: u32 {
        /// For writing only.
        const WRITE_ONLY = 0o1;
        /// For reading and writing.
        const READ_WRITE = 0o2;
        /// `O_CREAT`.
        const CREATE = 0o100;
        /// `O_EXCL`.
        const EXCLUSIVE = 0o200;
        /// `O_NOCTTY`.
        const NO_CONTROLLING_TERMINAL = 0o400;
        /// `O_TRUNC`.
        const TRUNCATE = 0o1000;
        /// `O_APPEND`.
        const APPEND = 0o2000;
        /// `O_NONBLOCK`.
        const NON_BLOCKING = 0o4000;
        /// `O_DSYNC`.
        const DATA_SYNC = 0o10000;
        /// `O_ASYNC`.
        const ASYNC = 0o20000;
        /// `O_DIRECT`.
        const DIRECT = 0o40000;
        /// `O_LARGEFILE`.
        const LARGE_FILE = 0o100000;
        /// `O_DIRECTORY`.
        const DIRECTORY = 0o200000;
        /// `O_NOFOLLOW`.
        const NO_FOLLOW = 0o400000;
        /// `O_NOATIME`.
        const NO_ACCESS_TIME = 0o1000000;
        /// `O_CLOEXEC`.
        const CLOSE_ON_EXEC = 0o2000000;
        /// The part of `O_SYNC` beyond `O_DSYNC`.
        const SYNC = 0o4000000;
        /// `O_PATH`.
        const PATH = 0o10000000;
        /// The part of `O_TMPFILE` beyond `O_DIRECTORY`.
        const UNNAMED = 0o20000000;
    }
}

impl OpenFlags {
    /// Those that are no part of the description.
    const ONLY_AT_OPEN: Self = Self::CREATE
        .union(Self::EXCLUSIVE)
        .union(Self::NO_CONTROLLING_TERMINAL)
        .union(Self::TRUNCATE)
        .union(Self::CLOSE_ON_EXEC);
    /// Those that `F_SETFL` changes.
    pub(crate) const SETTABLE: Self = Self::APPEND
        .union(Self::NON_BLOCKING)
        .union(Self::ASYNC)
        .union(Self::DIRECT)
        .union(Self::NO_ACCESS_TIME);

    /// Returns whether reads are allowed.
    pub(crate) fn is_readable(self) -> bool {
        !self.contains(Self::WRITE_ONLY)
    }

    /// Returns whether writes are allowed.
    pub(crate) fn is_writable(self) -> bool {
        // Both bits (3) mean that it can be neither read nor written, only asked by ioctl(2).
        matches!(self.bits() & 3, 1 | 2)
    }
}

/// Who is told that a file is ready (`fcntl(2)`, `F_SETOWN`, `F_SETSIG`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AsyncOwner {
    /// What `id` is: `F_OWNER_TID`, `F_OWNER_PID` or `F_OWNER_PGRP`.
    pub(crate) kind: u32,
    /// A task, a process or a process group; 0 for nobody.
    pub(crate) id: i32,
    /// The signal in place of `SIGIO`; 0 for that one.
    pub(crate) signal: i32,
}

/// An open file description: what descriptors refer to.
#[derive(Debug)]
pub(crate) struct OpenFile {
    id: u64,
    path: Path,
    ops: Box<dyn FileOps>,
    flags: AtomicU32,
    position: Lock<u64, { class::OPEN_FILE }>,
    /// Who is told that it is ready.
    pub(crate) owner: Lock<AsyncOwner, { class::STREAM }>,
}

/// The id of the next open file description.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// The position of an open file; held over a read or write that moves it, so that these are atomic to each other.
#[derive(Debug)]
pub(crate) struct Position<'a> {
    ops: &'a dyn FileOps,
    position: LockGuard<'a, u64>,
}

impl<'a> Position<'a> {
    fn new(ops: &'a dyn FileOps, mut position: LockGuard<'a, u64>) -> Self {
        *position = ops.outer_position().unwrap_or(*position);
        Self { ops, position }
    }
}

impl Deref for Position<'_> {
    type Target = u64;

    fn deref(&self) -> &u64 {
        &self.position
    }
}

impl DerefMut for Position<'_> {
    fn deref_mut(&mut self) -> &mut u64 {
        &mut self.position
    }
}

impl Drop for Position<'_> {
    fn drop(&mut self) {
        self.ops.set_outer_position(*self.position);
    }
}

impl OpenFile {
    /// Makes the description of a file that was opened.
    pub(crate) fn new(path: Path, ops: Box<dyn FileOps>, flags: OpenFlags) -> Self {
        Self::with_fresh_id(NEXT_ID.fetch_add(1, Ordering::Relaxed), path, ops, flags)
    }

    /// Makes the description with the number `id`, which nobody else has.
    pub(super) fn with_id(id: u64, path: Path, ops: Box<dyn FileOps>, flags: OpenFlags) -> Self {
        image::reserve(&NEXT_ID, id);
        Self::with_fresh_id(id, path, ops, flags)
    }

    fn with_fresh_id(id: u64, path: Path, ops: Box<dyn FileOps>, flags: OpenFlags) -> Self {
        Self {
            id,
            path,
            ops,
            flags: AtomicU32::new(flags.difference(OpenFlags::ONLY_AT_OPEN).bits()),
            position: Lock::new(0),
            owner: Lock::new(AsyncOwner::default()),
        }
    }

    /// Returns the number by which it owns locks: no other description has it.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Returns where it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the object that was opened.
    pub(crate) fn inode(&self) -> &Arc<dyn Inode> {
        self.path.inode()
    }

    /// Takes the position.
    pub(crate) fn position(&self) -> Position<'_> {
        Position::new(self.ops(), self.position.lock())
    }

    /// Takes the position, unless somebody has it.
    pub(crate) fn try_position(&self) -> Option<Position<'_>> {
        Some(Position::new(self.ops(), self.position.try_lock()?))
    }

    /// Returns what differs by kind.
    pub(crate) fn ops(&self) -> &dyn FileOps {
        &*self.ops
    }

    /// Returns what differs by kind if it is a `T`.
    pub(crate) fn ops_as<T: FileOps>(&self) -> Option<&T> {
        let ops: &dyn std::any::Any = &*self.ops;
        ops.downcast_ref()
    }

    /// Returns the flags as they are now.
    pub(crate) fn flags(&self) -> OpenFlags {
        OpenFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }

    /// Sets those flags that can be changed (`fcntl(2)`, `F_SETFL`).
    pub(crate) fn set_status_flags(&self, flags: OpenFlags) {
        let fixed = self.flags().difference(OpenFlags::SETTABLE);
        self.flags.store((fixed | flags.intersection(OpenFlags::SETTABLE)).bits(), Ordering::Relaxed);
    }

    /// Returns whether it was opened with `O_PATH`.
    pub(crate) fn is_path(&self) -> bool {
        self.flags().contains(OpenFlags::PATH)
    }

    /// Returns whether calls fail with `EAGAIN` in place of waiting.
    pub(crate) fn is_non_blocking(&self) -> bool {
        self.flags().contains(OpenFlags::NON_BLOCKING)
    }

    /// Returns the size: the device's own, or the inode's.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub(crate) fn size(&self) -> Result<u64, Errno> {
        match self.ops.size() {
            Some(size) => Ok(size),
            None => Ok(self.inode().attributes()?.size),
        }
    }

    /// Returns whether an access at the time `now` is noted in the inode, whose attributes are given: as the mount and
    /// `O_NOATIME` say.
    pub(crate) fn notes_access(&self, attributes: &Attributes, now: Timestamp) -> bool {
        let mount = self.path.mount.flags();
        let is_directory = attributes.kind == FileKind::Directory;
        if self.flags().contains(OpenFlags::NO_ACCESS_TIME)
            || mount.intersects(MountFlags::NO_ACCESS_TIME | MountFlags::READ_ONLY)
            || (is_directory && mount.contains(MountFlags::NO_DIRECTORY_ACCESS_TIME))
        {
            return false;
        }
        // mount(2), MS_RELATIME: if it is not later than the last change, or a day old.
        !mount.contains(MountFlags::RELATIVE_ACCESS_TIME)
            || attributes.accessed <= attributes.modified
            || attributes.accessed <= attributes.changed
            || now.seconds.saturating_sub(attributes.accessed.seconds) >= 24 * 60 * 60
    }

    /// Checks that reads are allowed.
    ///
    /// # Errors
    ///
    /// `EBADF` if they are not.
    pub(crate) fn check_readable(&self) -> Result<(), Errno> {
        if self.flags().is_readable() { Ok(()) } else { Err(errno::EBADF) }
    }

    /// Checks that writes are allowed.
    ///
    /// # Errors
    ///
    /// `EBADF` if they are not.
    pub(crate) fn check_writable(&self) -> Result<(), Errno> {
        if self.flags().is_writable() { Ok(()) } else { Err(errno::EBADF) }
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if let Some(anchors) = self.path.inode().anchors().get() {
            anchors.locks.unset_whole(self.id);
            anchors.locks.release(LockOwner::File(self.id));
        }
        if !self.is_path() {
            let is_written = self.flags().is_writable();
            let event = if is_written { notify::Event::CLOSE_WRITE } else { notify::Event::CLOSE_NOWRITE };
            notify::of_file(&self.path.dentry, event);
        }
    }
}
