//! The host descriptors of a file.
//!
//! All opens of a file share one descriptor for reading or one for both, because positions are the kernel's own matter. The
//! one for reading stays open when the guest has closed the file, within a bound
//! ([`GoferFs::note_reader`](super::GoferFs::note_reader)); one for writing never does, lest it be in the way of programs on
//! the host that execute the file.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Weak};

use cloister_9p::client::Opened;
use rustix::fs::OFlags;

use super::GoferInode;
use super::inode::walk_errno;
use crate::error::Errno;
use crate::prelude::errno;

/// What a descriptor is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostAccess {
    /// Reading.
    Read,
    /// Writing; reading too unless the host forbids it.
    Write,
}

/// The descriptors of a file that are open.
#[derive(Debug, Default)]
pub(super) struct Handles {
    reader: Option<Arc<OwnedFd>>,
    /// The one for reading was opened with the look-up, and nobody has asked for it yet.
    is_ahead: bool,
    /// For reading and writing.
    writer: Weak<OwnedFd>,
}

impl Handles {
    /// Returns the one for writing, if it is open.
    pub(super) fn writer(&self) -> Option<Arc<OwnedFd>> {
        self.writer.upgrade()
    }

    /// Returns any that can be read.
    pub(super) fn any(&self) -> Option<Arc<OwnedFd>> {
        self.writer().or_else(|| self.reader.clone())
    }

    /// Notes that a descriptor for reading and writing is open.
    pub(super) fn set_writer(&mut self, writer: &Arc<OwnedFd>) {
        self.writer = Arc::downgrade(writer);
    }
}

impl GoferInode {
    /// Returns a descriptor of this regular file.
    ///
    /// # Errors
    ///
    /// The gofer's.
    pub(super) fn host(&self, access: HostAccess) -> Result<Arc<OwnedFd>, Errno> {
        let known = {
            let mut state = self.state.lock();
            match access {
                HostAccess::Read => {
                    if std::mem::take(&mut state.handles.is_ahead) {
                        self.file_system.ahead.note_use();
                    }
                    state.handles.any()
                }
                HostAccess::Write => state.handles.writer(),
            }
        };
        match (known, access) {
            (Some(known), _) => Ok(known),
            (None, HostAccess::Read) => {
                self.file_system.ahead.note_use();
                self.open_host(OFlags::RDONLY).map(Arc::new)
            }
            (None, HostAccess::Write) => self.open_writer(),
        }
    }

    fn open_writer(&self) -> Result<Arc<OwnedFd>, Errno> {
        // What was known of size and times ends here, not when the first byte is written.
        self.outdate();
        match self.open_host(OFlags::RDWR) {
            Ok(host) => {
                let host = Arc::new(host);
                self.state.lock().handles.set_writer(&host);
                Ok(host)
            }
            // A gofer that is not privileged can't read all that it can write.
            Err(errno::EACCES) => self.open_host(OFlags::WRONLY).map(Arc::new),
            Err(other) => Err(other),
        }
    }

    /// Has the gofer open the file, by any of its names that still is one.
    fn open_host(&self, flags: OFlags) -> Result<OwnedFd, Errno> {
        if let Some(place) = self.place() {
            let (_, opened) = self.walk_from(&place, Some(flags))?;
            if let Some(opened) = opened {
                return opened.map_err(|number| walk_errno(Some(number)));
            }
        }
        let mut result = Err(errno::ESTALE);
        for fid in self.fids() {
            result = self.file_system.call(|client| client.open(fid, flags.bits()));
            if !matches!(result, Err(errno::ESTALE)) {
                break;
            }
        }
        match result? {
            Opened::Host(host) => Ok(host),
            Opened::Remote(fid) => {
                tracing::error!("the file server hands over no descriptors: its files can't be opened");
                self.file_system.give_back([fid]);
                Err(errno::EOPNOTSUPP)
            }
        }
    }

    /// Keeps a descriptor for reading beyond its last close.
    pub(super) fn keep_reader(self: &Arc<Self>, host: &Arc<OwnedFd>) {
        self.keep(host, false);
    }

    /// Keeps a descriptor for reading that was opened with the look-up.
    pub(super) fn keep_reader_ahead(self: &Arc<Self>, host: OwnedFd) {
        self.keep(&Arc::new(host), true);
    }

    fn keep(self: &Arc<Self>, host: &Arc<OwnedFd>, is_ahead: bool) {
        {
            let handles = &mut self.state.lock().handles;
            if handles.any().is_some() {
                return;
            }
            (handles.reader, handles.is_ahead) = (Some(Arc::clone(host)), is_ahead);
        }
        self.file_system.note_reader(self);
    }

    /// Lets go of the descriptor for reading; who still reads by it has it for as long as that takes.
    pub(super) fn close_reader(&self) {
        let reader = {
            let mut state = self.state.lock();
            if std::mem::take(&mut state.handles.is_ahead) {
                self.file_system.ahead.note_waste();
            }
            state.handles.reader.take()
        };
        drop(reader);
    }
}

/// Whether to have files opened for reading as they are looked up.
///
/// That costs the look-up a third more, and saves a request of its own if the guest does open the file: programs that start
/// open nearly all that they look up, `find` opens nothing. Each descriptor that was used speaks for it, each that was
/// closed unused against it.
#[derive(Debug, Default)]
pub(super) struct Ahead(AtomicI32);

impl Ahead {
    /// How far the past counts.
    const MAX: i32 = 32;

    /// Returns whether to do so.
    pub(super) fn is_worth_it(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= 0
    }

    /// Notes that a file was opened for reading.
    pub(super) fn note_use(&self) {
        self.add(1);
    }

    /// Notes that a file was not opened while it was known.
    pub(super) fn note_waste(&self) {
        self.add(-1);
    }

    fn add(&self, change: i32) {
        // A lost update is no matter.
        let score = self.0.load(Ordering::Relaxed).saturating_add(change).clamp(-Self::MAX, Self::MAX);
        self.0.store(score, Ordering::Relaxed);
    }
}
