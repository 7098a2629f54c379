//! The host descriptors of a file.
//!
//! All opens of a file share one descriptor for reading or one for both, because positions are the kernel's own matter. The
//! one for reading stays open when the guest has closed the file, within a bound
//! ([`GoferFs::note_reader`](super::GoferFs::note_reader)); one for writing never does, lest it be in the way of programs on
//! the host that execute the file.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use cloister_9p::client::Opened;
use rustix::fs::OFlags;

use super::GoferInode;
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
            let state = self.state.lock();
            match access {
                HostAccess::Read => state.handles.any(),
                HostAccess::Write => state.handles.writer(),
            }
        };
        match (known, access) {
            (Some(known), _) => Ok(known),
            (None, HostAccess::Read) => self.open_host(OFlags::RDONLY).map(Arc::new),
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
        let is_new = {
            let mut state = self.state.lock();
            let is_new = state.handles.any().is_none();
            if is_new {
                state.handles.reader = Some(Arc::clone(host));
            }
            is_new
        };
        if is_new {
            self.file_system.note_reader(self);
        }
    }

    /// Lets go of the descriptor for reading; who still reads by it has it for as long as that takes.
    pub(super) fn close_reader(&self) {
        let reader = self.state.lock().handles.reader.take();
        drop(reader);
    }
}
