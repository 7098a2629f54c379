//! Descriptors and credentials that travel with data (`unix(7)`, "Ancillary messages").

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cloister_sync::{Lock, class};
use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::error::Errno;
use crate::fs::OpenFile;
use crate::prelude::{SyscallCx, Task, errno};
use crate::task::Pid;

/// `struct ucred`: who sent something, or made a connection.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, Serialize, Deserialize,
)]
#[repr(C)]
pub(crate) struct Ucred {
    /// The process.
    pub(crate) pid: Pid,
    /// The user.
    pub(crate) uid: u32,
    /// The group.
    pub(crate) gid: u32,
}

impl Ucred {
    /// What a receiver sees of a sender that is not known.
    pub(crate) const NOBODY: Self = Self { pid: 0, uid: 65534, gid: 65534 };

    /// Returns it as it is shown to the caller: with the process by its number.
    pub(crate) fn as_seen_by(self, cx: &SyscallCx<'_>) -> Self {
        Self { pid: cx.number(self.pid), ..self }
    }

    /// Returns what is sent for `task` if it says nothing else: its real ids.
    pub(crate) fn real(task: &Task) -> Self {
        let credentials = task.credentials();
        Self { pid: task.group().tgid(), uid: credentials.uid, gid: credentials.gid }
    }
}

/// The most files that may be on their way in the whole sandbox: sockets that are sent through each other in a circle
/// stay for ever, so there must be a bound.
const MAX_IN_FLIGHT: usize = 16384;

/// Files that are on their way.
///
/// A message may hold a socket that holds messages, and so on: files of messages that nobody receives are dropped one
/// after the other here, not by recursion.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    count: AtomicUsize,
    dropped: Lock<Dropped, { class::IN_FLIGHT }>,
}

#[derive(Debug, Default)]
struct Dropped {
    files: Vec<Arc<OpenFile>>,
    is_being_emptied: bool,
}

impl InFlight {
    fn reserve(&self, count: usize) -> Result<(), Errno> {
        let add = |current: usize| current.checked_add(count).filter(|sum| *sum <= MAX_IN_FLIGHT);
        let reserved = self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        reserved.map(drop).map_err(|_| errno::ETOOMANYREFS)
    }

    fn discard(&self, files: Vec<Arc<OpenFile>>) {
        let mut dropped = self.dropped.lock();
        dropped.files.extend(files);
        if std::mem::replace(&mut dropped.is_being_emptied, true) {
            return;
        }
        while let Some(file) = dropped.files.pop() {
            drop(dropped);
            drop(file);
            dropped = self.dropped.lock();
        }
        dropped.is_being_emptied = false;
    }
}

/// What travels with data besides the sender's credentials.
#[derive(Debug)]
pub(crate) struct Ancillary {
    files: Vec<Arc<OpenFile>>,
    in_flight: Arc<InFlight>,
}

impl Ancillary {
    /// Sends `files`.
    ///
    /// # Errors
    ///
    /// `ETOOMANYREFS` if too many files are on their way.
    pub(crate) fn new(files: Vec<Arc<OpenFile>>, in_flight: &Arc<InFlight>) -> Result<Self, Errno> {
        in_flight.reserve(files.len())?;
        Ok(Self { files, in_flight: Arc::clone(in_flight) })
    }

    /// Returns the files.
    pub(crate) fn files(&self) -> &[Arc<OpenFile>] {
        &self.files
    }

    /// Returns a copy, for `MSG_PEEK`; `None` if too many files are on their way.
    pub(crate) fn try_clone(&self) -> Option<Self> {
        Self::new(self.files.clone(), &self.in_flight).ok()
    }
}

impl Drop for Ancillary {
    fn drop(&mut self) {
        self.in_flight.count.fetch_sub(self.files.len(), Ordering::Relaxed);
        self.in_flight.discard(std::mem::take(&mut self.files));
    }
}
