//! Sending a request and taking its answer.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::RecvFlags;

use super::Client;
use super::error::{ClientError, ProtocolError};
use super::fids::Fid;
use crate::base::lerror::Rlerror;
use crate::codec::Malformed;
use crate::frame::{self, HEADER_SIZE};
use crate::message::{Decode, Message, Request};
use crate::transport;

/// The tag of every request: there is only one at a time.
const TAG: u16 = 0;

/// The room for an answer before its length is known: enough for all but long listings and reads.
const INCOMING_SIZE: usize = 4096;

impl Client {
    /// Makes a request and gives the answer, which borrows the client's buffer.
    pub(super) fn call<R: Request>(&mut self, request: &R) -> Result<R::Reply<'_>, ClientError> {
        self.call_tagged(request, TAG).map(|(reply, _)| reply)
    }

    /// As [`Client::call`], with the descriptor that came along.
    pub(super) fn call_with_fd<R: Request>(
        &mut self,
        request: &R,
    ) -> Result<(R::Reply<'_>, Option<OwnedFd>), ClientError> {
        self.call_tagged(request, TAG)
    }

    /// Makes a request that gives `fid` a meaning if it succeeds; else `fid` is free again.
    pub(super) fn call_for_fid<R: Request>(
        &mut self,
        request: &R,
        fid: Fid,
    ) -> Result<(R::Reply<'_>, Option<OwnedFd>), ClientError> {
        match self.exchange(request, TAG) {
            Ok(fd) => Ok((self.reply::<R>()?, fd)),
            Err(error) => {
                self.fids.release(fid);
                Err(error)
            }
        }
    }

    /// As [`Client::call_with_fd`], with a tag of the caller's.
    pub(super) fn call_tagged<R: Request>(
        &mut self,
        request: &R,
        tag: u16,
    ) -> Result<(R::Reply<'_>, Option<OwnedFd>), ClientError> {
        let fd = self.exchange(request, tag)?;
        Ok((self.reply::<R>()?, fd))
    }

    /// A fid that is not in use.
    pub(super) fn allocate(&mut self) -> Result<Fid, ClientError> {
        self.fids
            .allocate()
            .ok_or(ClientError::Errno(rustix::io::Errno::MFILE.raw_os_error().cast_unsigned()))
    }

    /// Shuts the connection down, because what the server says next cannot be trusted to answer what was asked.
    pub(super) fn broken(&self, cause: impl Into<ProtocolError>) -> ClientError {
        self.disconnect();
        ClientError::Protocol(cause.into())
    }

    /// Sends a request and receives a whole answer, which is not that of an error, into `incoming`.
    fn exchange<R: Request>(&mut self, request: &R, tag: u16) -> Result<Option<OwnedFd>, ClientError> {
        frame::encode(request, tag, self.msize, &mut self.outgoing)?;
        transport::send_all(self.socket.as_fd(), &self.outgoing)?;
        let fd = self.receive()?;
        let frame = match frame::split(&self.incoming, self.msize) {
            Ok(Some((frame, len))) if len == self.incoming.len() => frame,
            Ok(_) => return Err(self.broken(ProtocolError::Unasked)),
            Err(cause) => return Err(self.broken(cause)),
        };
        if frame.tag != tag {
            return Err(self.broken(ProtocolError::WrongTag(frame.tag)));
        }
        if frame.kind == <R::Reply<'_> as Message>::TYPE {
            return Ok(fd);
        }
        if frame.kind != Rlerror::TYPE {
            return Err(self.broken(ProtocolError::WrongType(frame.kind)));
        }
        match Rlerror::decode(frame.body) {
            Ok(Rlerror { ecode }) if (1..4096).contains(&ecode) => Err(ClientError::Errno(ecode)),
            Ok(_) => Err(self.broken(Malformed::Undefined)),
            Err(cause) => Err(self.broken(cause)),
        }
    }

    /// Decodes the answer in `incoming`.
    fn reply<R: Request>(&self) -> Result<R::Reply<'_>, ClientError> {
        let body = self.incoming.get(HEADER_SIZE..).unwrap_or_default();
        R::Reply::decode(body).map_err(|cause| self.broken(cause))
    }

    /// Receives one message into `incoming`, and the descriptor that comes with it.
    fn receive(&mut self) -> Result<Option<OwnedFd>, ClientError> {
        let mut filled = 0_usize;
        let mut descriptor = None;
        self.incoming.resize(INCOMING_SIZE, 0);
        loop {
            let room = self.incoming.get_mut(filled..).unwrap_or_default();
            let received = transport::receive(&self.socket, room, RecvFlags::empty())?;
            if received.len == 0 {
                return Err(ClientError::Io(io::ErrorKind::UnexpectedEof.into()));
            }
            descriptor = descriptor.or(received.fd);
            filled = filled.saturating_add(received.len);
            let Some(size) = self.incoming.first_chunk().filter(|_| filled >= size_of::<u32>()) else {
                continue;
            };
            let size = u32::from_le_bytes(*size);
            let Ok(len) = usize::try_from(size).map_err(|_| ()).and_then(|len| {
                if (HEADER_SIZE..=self.msize as usize).contains(&len) { Ok(len) } else { Err(()) }
            }) else {
                return Err(self.broken(Malformed::BadSize(size)));
            };
            if filled >= len {
                // Bytes beyond the answer stay, so that the caller sees them and refuses.
                self.incoming.truncate(filled);
                return Ok(descriptor);
            }
            if self.incoming.len() < len {
                self.incoming.resize(len, 0);
            }
        }
    }
}
