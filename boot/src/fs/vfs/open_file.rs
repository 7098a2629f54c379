//! Open file descriptions.

use std::sync::atomic::{AtomicU32, Ordering};

use bitflags::bitflags;
use cloister_sync::{Lock, class};
use serde::{Deserialize, Serialize};

use super::{FileOps, Path};

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
    /// Returns whether reads are allowed.
    pub(crate) fn is_readable(self) -> bool {
        !self.contains(Self::WRITE_ONLY)
    }

    /// Returns whether writes are allowed.
    pub(crate) fn is_writable(self) -> bool {
        self.intersects(Self::WRITE_ONLY.union(Self::READ_WRITE))
    }
}

/// An open file description: what descriptors refer to.
#[derive(Debug)]
pub(crate) struct OpenFile {
    path: Path,
    ops: Box<dyn FileOps>,
    flags: AtomicU32,
    /// The position; held over a read or write that moves it, so that these are atomic to each other.
    pub(crate) position: Lock<u64, { class::OPEN_FILE }>,
}

impl OpenFile {
    /// Makes the description of a file that was opened.
    pub(crate) fn new(path: Path, ops: Box<dyn FileOps>, flags: OpenFlags) -> Self {
        Self { path, ops, flags: AtomicU32::new(flags.bits()), position: Lock::new(0) }
    }

    /// Returns where it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns what differs by kind.
    pub(crate) fn ops(&self) -> &dyn FileOps {
        &*self.ops
    }

    /// Returns the flags as they are now.
    pub(crate) fn flags(&self) -> OpenFlags {
        OpenFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }

    /// Returns whether it was opened with `O_PATH`.
    pub(crate) fn is_path(&self) -> bool {
        self.flags().contains(OpenFlags::PATH)
    }
}
