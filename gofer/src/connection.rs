//! A client's connection: bytes in, whole messages to the session, bytes and descriptors out.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use cloister_9p::frame;
use cloister_9p::transport;
use rustix::event::PollFlags;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, SendFlags};

use crate::session::{Reply, Session};

/// The room for requests before the length of a long one is known.
const INCOMING_SIZE: usize = 8 << 10;

/// Whether a connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It does.
    Continue,
    /// It does, and a receive that waits has waited for the socket's time-out.
    Idle,
    /// The client has gone, or what it sends cannot be told apart into messages.
    Close,
}

/// Whether a receive waits for bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It waits: there is nobody else to serve.
    ForBytes,
    /// It does not.
    Never,
}

/// A client's connection.
///
/// A request is taken up only when the answer to the one before has left, so that a client that does not read costs no
/// more than one answer's memory.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    session: Session,
    incoming: Vec<u8>,
    /// Bytes of `incoming` that were received.
    filled: usize,
    outgoing: Reply,
    /// Bytes of `outgoing` that were sent.
    sent: usize,
}

impl Connection {
    /// Serves `session` over a connected stream socket.
    pub fn new(socket: OwnedFd, session: Session) -> Self {
        Self {
            socket,
            session,
            incoming: vec![0; INCOMING_SIZE],
            filled: 0,
            outgoing: Reply::default(),
            sent: 0,
        }
    }

    /// Has receives that wait return when nothing comes for so long.
    ///
    /// # Errors
    ///
    /// The host's.
    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        Ok(set_socket_timeout(&self.socket, Timeout::Recv, Some(patience))?)
    }

    /// The socket, and what it waits for.
    pub fn interest(&self) -> (BorrowedFd<'_>, PollFlags) {
        (self.socket.as_fd(), if self.is_sending() { PollFlags::OUT } else { PollFlags::IN })
    }

    /// True while an answer waits for the client to read.
    pub fn is_sending(&self) -> bool {
        self.sent < self.outgoing.bytes.len()
    }

    /// Sends what waits to be sent, else receives; then answers all whole requests.
    pub fn advance(&mut self, wait: Wait) -> Next {
        self.try_advance(wait).unwrap_or_else(|error| {
            tracing::warn!(%error, "a connection is closed");
            Next::Close
        })
    }

    fn try_advance(&mut self, wait: Wait) -> io::Result<Next> {
        if !self.is_sending() {
            match self.receive(wait)? {
                Next::Continue => {}
                end @ (Next::Idle | Next::Close) => return Ok(end),
            }
        }
        self.send()?;
        let mut start = 0;
        while !self.is_sending() {
            let rest = self.incoming.get(start..self.filled).unwrap_or_default();
            let split = frame::split(rest, self.session.msize())
                .map_err(|cause| io::Error::new(io::ErrorKind::InvalidData, cause))?;
            let Some((frame, len)) = split else { break };
            self.session.handle(frame, &mut self.outgoing);
            self.sent = 0;
            start += len;
            self.send()?;
        }
        self.incoming.copy_within(start..self.filled, 0);
        self.filled -= start;
        self.make_room();
        Ok(Next::Continue)
    }

    fn receive(&mut self, wait: Wait) -> io::Result<Next> {
        let flags = match wait {
            Wait::ForBytes => RecvFlags::empty(),
            Wait::Never => RecvFlags::DONTWAIT,
        };
        let room = self.incoming.get_mut(self.filled..).unwrap_or_default();
        match transport::receive(&self.socket, room, flags) {
            Ok(received) if received.len == 0 => Ok(Next::Close),
            // No request comes with a descriptor; one that does is closed here.
            Ok(received) => {
                self.filled += received.len;
                Ok(Next::Continue)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(match wait {
                Wait::ForBytes => Next::Idle,
                Wait::Never => Next::Continue,
            }),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(Next::Close),
            Err(error) => Err(error),
        }
    }

    /// Sends as much of the answer as the client takes. The descriptor goes with the first byte.
    fn send(&mut self) -> io::Result<()> {
        while let Some(rest) = self.outgoing.bytes.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let fd = self.outgoing.fd.as_ref().map(AsFd::as_fd);
            match transport::send(self.socket.as_fd(), rest, fd, SendFlags::DONTWAIT) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            self.outgoing.fd = None;
        }
        Ok(())
    }

    /// Makes room for all of the request at the front, of which the length is known by now.
    fn make_room(&mut self) {
        let Some(size) = self.incoming.first_chunk().filter(|_| self.filled >= size_of::<u32>()) else {
            return;
        };
        let size = u32::from_le_bytes(*size).min(self.session.msize()) as usize;
        if self.incoming.len() < size {
            self.incoming.resize(size, 0);
        }
    }
}
