//! A synchronous client: one request at a time, over a blocking stream socket.
//!
//! [`Client::connect`] offers Cloister's extensions. With a server that has them, opens and creations give the host's
//! descriptor and a walk is one request; with any other 9P2000.L server the same methods are made of several standard
//! requests, and an open gives a fid to [`Client::read`] and [`Client::write`] instead ([`Opened`]).
//!
//! The caller serialises requests (`&mut self`) and owns the fids: each that it got must go back through
//! [`Client::clunk`] or [`Client::clunk_many`]. A server that breaks the protocol is not talked to again: every later
//! request fails with [`ClientError::Io`].

mod attr;
mod call;
mod dir;
mod error;
mod fids;
mod make;
mod names;
mod open;
mod walk;
mod xattr;

use std::os::fd::OwnedFd;

pub use attr::{SetAttr, SetTime, StatFs};
pub use dir::{DirEntry, Listing};
pub use error::{ClientError, ProtocolError};
pub use fids::Fid;
use fids::FidAllocator;
pub use make::{Make, NewFile};
pub use open::{Created, Opened};
pub use walk::{Found, Walk};

use crate::base::attach::Tattach;
use crate::base::clunk::Tclunk;
use crate::base::version::Tversion;
use crate::ext::clunk_many::{MAX_FIDS, TclunkMany};
use crate::ext::run_on::TrunOn;
use crate::{MAX_MSIZE, MIN_MSIZE, NO_FID, NO_TAG, VERSION_CLOISTER, VERSION_PLAIN};

/// The largest message that a client offers: a batch of directory entries, or a plain read, of nearly 64 KiB.
const OFFERED_MSIZE: u32 = 64 << 10;

/// A connection to a file server.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
    msize: u32,
    has_extensions: bool,
    fids: FidAllocator,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
}

impl Client {
    /// Takes a connected stream socket in blocking mode, and negotiates the version.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::Version`] if the server speaks no 9P2000.L, [`ProtocolError::Mismatch`] if it insists on messages
    /// shorter than [`MIN_MSIZE`].
    pub fn connect(socket: OwnedFd) -> Result<Self, ClientError> {
        let mut client = Self::unversioned(socket);
        // A server that knows just the exact standard name answers `unknown` to ours.
        if !client.negotiate(VERSION_CLOISTER)? && !client.negotiate(VERSION_PLAIN)? {
            return Err(client.broken(ProtocolError::Version));
        }
        Ok(client)
    }

    /// Like [`Client::connect`], but uses only the standard protocol.
    pub fn connect_plain(socket: OwnedFd) -> Result<Self, ClientError> {
        let mut client = Self::unversioned(socket);
        if !client.negotiate(VERSION_PLAIN)? {
            return Err(client.broken(ProtocolError::Version));
        }
        Ok(client)
    }

    fn unversioned(socket: OwnedFd) -> Self {
        Self {
            socket,
            msize: OFFERED_MSIZE,
            has_extensions: false,
            fids: FidAllocator::default(),
            outgoing: Vec::new(),
            incoming: Vec::new(),
        }
    }

    /// Offers `version`; false if the server does not take it, nor what comes before its last dot.
    fn negotiate(&mut self, version: &[u8]) -> Result<bool, ClientError> {
        let offer = Tversion { msize: OFFERED_MSIZE.min(MAX_MSIZE), version };
        let (reply, _) = self.call_tagged(&offer, NO_TAG)?;
        let (msize, has_extensions) = (reply.msize, reply.version == VERSION_CLOISTER);
        if !has_extensions && reply.version != VERSION_PLAIN {
            return Ok(false);
        }
        if !(MIN_MSIZE..=OFFERED_MSIZE).contains(&msize) {
            return Err(self.broken(ProtocolError::Mismatch));
        }
        self.msize = msize;
        self.has_extensions = has_extensions;
        Ok(true)
    }

    /// Ends the connection: every later request fails.
    pub fn disconnect(&self) {
        // It may be gone already, which is just as well.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }

    /// True if the server has Cloister's extensions.
    pub fn has_extensions(&self) -> bool {
        self.has_extensions
    }

    /// The largest message of the connection.
    pub fn msize(&self) -> u32 {
        self.msize
    }

    /// Gives a fid for the root of the tree `aname`, acting as user `uid`.
    pub fn attach(&mut self, aname: &[u8], uid: u32) -> Result<Fid, ClientError> {
        let fid = self.allocate()?;
        let request = Tattach { fid: fid.0, afid: NO_FID, uname: b"", aname, n_uname: uid };
        self.call_for_fid(&request, fid)?;
        Ok(fid)
    }

    /// Asks the server to run on this processor.
    pub fn run_on(&mut self, processor: u32) -> Result<(), ClientError> {
        if self.has_extensions {
            self.call(&TrunOn { processor })?;
        }
        Ok(())
    }

    /// Gives a second fid for the file of `fid`.
    pub fn clone_fid(&mut self, fid: Fid) -> Result<Fid, ClientError> {
        self.walk_fid(fid, &[])
    }

    /// Gives a fid back. It is free afterwards, whatever the server says.
    pub fn clunk(&mut self, fid: Fid) -> Result<(), ClientError> {
        self.fids.release(fid);
        self.call(&Tclunk { fid: fid.0 })?;
        Ok(())
    }

    /// Gives many fids back.
    pub fn clunk_many(&mut self, fids: &[Fid]) -> Result<(), ClientError> {
        if !self.has_extensions {
            return fids.iter().try_for_each(|&fid| self.clunk(fid));
        }
        for batch in fids.chunks(MAX_FIDS) {
            batch.iter().for_each(|&fid| self.fids.release(fid));
            let fids = batch.iter().map(|fid| fid.0).collect();
            self.call(&TclunkMany { fids: crate::codec::List(fids) })?;
        }
        Ok(())
    }
}
