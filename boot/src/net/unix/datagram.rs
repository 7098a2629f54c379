//! Unix sockets without connections: `SOCK_DGRAM`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use cloister_sync::{Lock, class};

use super::UnixSocket;
use crate::error::Errno;
use crate::event::{Events, Registration, WaitQueue, Wake};
use crate::fs::Sink;
use crate::net::channel::Take;
use crate::net::datagrams::{Datagram, Datagrams, Limits};
use crate::net::socket::Shutdown;
use crate::net::{Destination, Outgoing, Received, SocketAddress, SocketOptions};
use crate::prelude::errno;

/// How many datagrams wait for a receiver before senders wait (`/proc/sys/net/unix/max_dgram_qlen`, plus one).
const MAX_WAITING: usize = 11;

/// What only sockets without connections have.
#[derive(Debug)]
pub(super) struct DatagramBody {
    pub(super) received: Datagrams,
    peer: Lock<Option<Peer>, { class::SOCKET }>,
    /// Whether sending was shut down.
    pub(super) is_ended: AtomicBool,
}

/// The socket that one is connected to: where it sends to if it does not say, and whose datagrams alone it takes.
#[derive(Debug)]
struct Peer {
    socket: Weak<UnixSocket>,
    /// Tells those who wait for this socket when the peer has room.
    _relay: Registration,
}

/// Passes the news that a peer has room on to those who wait for the socket.
struct Relay(WaitQueue);

impl Wake for Relay {
    fn wake(self: Arc<Self>, events: Events) -> bool {
        self.0.wake(events);
        false
    }
}

impl DatagramBody {
    pub(super) fn new(queue: &WaitQueue) -> Self {
        Self {
            received: Datagrams::new(queue.clone()),
            peer: Lock::new(None),
            is_ended: AtomicBool::new(false),
        }
    }

    /// Returns the socket that it is connected to.
    ///
    /// # Errors
    ///
    /// `ENOTCONN` if it is connected to none, `ECONNREFUSED` if that is closed.
    pub(super) fn peer(&self) -> Result<Arc<UnixSocket>, Errno> {
        let peer = self.peer.lock();
        let peer = peer.as_ref().ok_or(errno::ENOTCONN)?;
        peer.socket.upgrade().ok_or(errno::ECONNREFUSED)
    }

    /// Connects `socket`, whose body this is, to `target`.
    ///
    /// # Errors
    ///
    /// `EPROTOTYPE` if that is of another type, `EPERM` if it is connected to another socket.
    pub(super) fn connect(&self, socket: &UnixSocket, target: &Arc<UnixSocket>) -> Result<(), Errno> {
        let body = target.datagram().ok_or(errno::EPROTOTYPE)?;
        body.check_sender(socket)?;
        self.set_peer(socket, Arc::downgrade(target), body.received.senders());
        Ok(())
    }

    /// Lets `socket`, whose body this is, be connected to `peer`, for whose room those in `senders` wait.
    pub(super) fn set_peer(&self, socket: &UnixSocket, peer: Weak<UnixSocket>, senders: &WaitQueue) {
        let relay = Arc::new(Relay(socket.queue.clone()));
        let relay = senders.register(Events::WRITABLE, relay);
        let before = self.peer.lock().replace(Peer { socket: peer, _relay: relay });
        drop(before);
    }

    /// Dissolves the connection.
    pub(super) fn disconnect(&self) {
        let before = self.peer.lock().take();
        drop(before);
    }

    /// Checks that it takes datagrams from `sender`.
    fn check_sender(&self, sender: &UnixSocket) -> Result<(), Errno> {
        match &*self.peer.lock() {
            Some(peer) if !std::ptr::eq(peer.socket.as_ptr(), sender) => Err(errno::EPERM),
            _ => Ok(()),
        }
    }

    pub(super) fn send(
        &self,
        socket: &UnixSocket,
        options: &SocketOptions,
        message: &mut Outgoing<'_>,
    ) -> Result<usize, Errno> {
        options.check_error()?;
        if self.is_ended.load(Ordering::Relaxed) {
            return Err(errno::EPIPE);
        }
        let target = match message.to {
            Some(Destination::Unix(target)) => Arc::clone(target),
            Some(Destination::Address(_)) => return Err(errno::EINVAL),
            None => self.peer()?,
        };
        let body = target.datagram().ok_or(errno::EPROTOTYPE)?;
        body.check_sender(socket)?;
        let len = message.from.remaining();
        if len > options.send_buffer() {
            return Err(errno::EMSGSIZE);
        }
        let limits = limits(options);
        if !body.received.has_room(limits) {
            return Err(errno::EAGAIN);
        }
        let mut bytes = vec![0; len].into_boxed_slice();
        if message.from.read(&mut bytes)? < len {
            return Err(errno::EFAULT);
        }
        let from = SocketAddress::Unix(socket.name());
        let ancillary = message.ancillary.take();
        let datagram = Datagram { bytes, from, credentials: message.credentials, ancillary };
        body.received.push(datagram, limits).map_err(|(errno, datagram)| {
            message.ancillary = datagram.ancillary;
            errno
        })?;
        Ok(len)
    }

    pub(super) fn receive(
        &self,
        options: &SocketOptions,
        into: &mut dyn Sink,
        take: Take,
    ) -> Result<Received, Errno> {
        options.check_error()?;
        self.received.receive(into, take)
    }

    pub(super) fn shutdown(&self, how: Shutdown) {
        if how.receives() {
            self.received.refuse();
        }
        if how.sends() {
            self.is_ended.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn poll(&self, options: &SocketOptions) -> Events {
        let mut events = Events::empty();
        events.set(Events::READABLE, self.received.has_data());
        let has_room = match self.peer() {
            Ok(peer) => peer.datagram().is_none_or(|body| body.received.has_room(limits(options))),
            Err(_) => true,
        };
        events.set(Events::WRITABLE, has_room);
        events.set(Events::ERR, options.has_error());
        events
    }
}

fn limits(sender: &SocketOptions) -> Limits {
    Limits { datagrams: MAX_WAITING, bytes: sender.send_buffer() }
}
