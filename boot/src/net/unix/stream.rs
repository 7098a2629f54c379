//! Unix sockets with connections: `SOCK_STREAM` and `SOCK_SEQPACKET`.
//!
//! ```text
//!            listen                         (accept takes connections that are made to it)
//!   unconnected ───> Listening
//!        │
//!        └─────────> Connected              connect, socketpair
//!           connect
//! ```
//!
//! What such a socket has become, it is for ever: after the other end is gone a connected one is still connected, to a
//! channel that has ended.

use std::sync::{Arc, OnceLock, Weak};

use super::socket::Identity;
use super::{UnixSocket, names};
use crate::context::SyscallCx;
use crate::error::{Errno, Fail, Restart, fail};
use crate::event::{Events, WaitQueue};
use crate::fs::Sink;
use crate::net::address::UnixAddress;
use crate::net::backlog::Backlog;
use crate::net::channel::{Channel, Framing, Take};
use crate::net::options::Switches;
use crate::net::socket::Shutdown;
use crate::net::{Outgoing, Received, SocketOptions, SocketType};
use crate::prelude::errno;

/// What a socket with connections has become.
#[derive(Debug)]
pub(super) enum Role {
    /// It takes connections.
    Listening {
        backlog: Backlog<UnixSocket>,
        /// Who listens: what those who connect see.
        identity: Identity,
    },
    /// It is one end of a connection.
    Connected(Connection),
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) sends: Arc<Channel>,
    pub(super) receives: Arc<Channel>,
    /// The other end, while it is open.
    pub(super) peer_socket: Weak<UnixSocket>,
    /// The name of the other end; it may get one later.
    peer_name: Arc<OnceLock<UnixAddress>>,
    /// Where an error of the other end is put.
    peer_options: Arc<SocketOptions>,
    /// The other end's queue.
    peer_queue: WaitQueue,
    pub(super) peer: Identity,
}

/// What only sockets with connections have.
#[derive(Debug, Default)]
pub(super) struct StreamBody {
    pub(super) role: OnceLock<Role>,
}

impl StreamBody {
    pub(super) fn connection(&self) -> Option<&Connection> {
        match self.role.get() {
            Some(Role::Connected(connection)) => Some(connection),
            _ => None,
        }
    }

    pub(super) fn backlog(&self) -> Option<&Backlog<UnixSocket>> {
        match self.role.get() {
            Some(Role::Listening { backlog, .. }) => Some(backlog),
            _ => None,
        }
    }

    pub(super) fn listen(&self, queue: &WaitQueue, identity: Identity, max: i32) -> Result<(), Fail> {
        let role =
            self.role.get_or_init(|| Role::Listening { backlog: Backlog::new(queue.clone(), max), identity });
        match role {
            Role::Listening { backlog, .. } => {
                backlog.set_max(max);
                Ok(())
            }
            Role::Connected(_) => Err(fail(errno::EINVAL, "is connected")),
        }
    }

    pub(super) fn poll(&self, options: &SocketOptions) -> Events {
        let mut events = match self.role.get() {
            None => Events::WRITABLE | Events::HUP,
            Some(Role::Listening { backlog, .. }) => backlog.poll(),
            Some(Role::Connected(connection)) => connection.poll(),
        };
        events.set(Events::ERR, options.has_error());
        events
    }

    pub(super) fn send(&self, options: &SocketOptions, message: &mut Outgoing<'_>) -> Result<usize, Errno> {
        options.check_error()?;
        self.connection().ok_or(errno::ENOTCONN)?.sends.send(message)
    }

    pub(super) fn receive(
        &self,
        kind: SocketType,
        options: &SocketOptions,
        into: &mut dyn Sink,
        take: Take,
    ) -> Result<Received, Errno> {
        // Linux tells the two apart.
        let unconnected = if kind == SocketType::Stream { errno::EINVAL } else { errno::ENOTCONN };
        let connection = self.connection().ok_or(unconnected)?;
        if options.has_error() && !connection.receives.has_data() {
            options.check_error()?;
        }
        connection.receives.receive(into, take, options.has(Switches::PASS_CREDENTIALS))
    }

    pub(super) fn shutdown(&self, how: Shutdown) {
        match self.role.get() {
            None => {}
            Some(Role::Listening { backlog, .. }) => backlog.close(),
            Some(Role::Connected(connection)) => {
                if how.receives() {
                    connection.receives.refuse();
                }
                if how.sends() {
                    connection.sends.end();
                }
            }
        }
    }

    /// Closes it as its socket is dropped.
    pub(super) fn close(&self) {
        match self.role.get() {
            None => {}
            Some(Role::Listening { backlog, .. }) => backlog.close(),
            Some(Role::Connected(connection)) => {
                // The other end learns that something of it was not received.
                if connection.receives.discard() {
                    connection.peer_options.set_error(errno::ECONNRESET);
                }
                connection.sends.end();
                connection.peer_queue.wake(Events::ERR | Events::HUP);
            }
        }
    }
}

impl Connection {
    pub(super) fn peer_name(&self) -> UnixAddress {
        self.peer_name.get().cloned().unwrap_or(UnixAddress::Unnamed)
    }

    /// Makes the end of a connection to `peer`, who was `identity`.
    pub(super) fn new(
        sends: &Arc<Channel>,
        receives: &Arc<Channel>,
        peer: &Arc<UnixSocket>,
        identity: Identity,
    ) -> Self {
        Self {
            sends: Arc::clone(sends),
            receives: Arc::clone(receives),
            peer_socket: Arc::downgrade(peer),
            peer_name: Arc::clone(&peer.name),
            peer_options: Arc::clone(&peer.options),
            peer_queue: peer.queue.clone(),
            peer: identity,
        }
    }

    fn poll(&self) -> Events {
        let (ends, is_refused) = (self.receives.is_closed(), self.sends.is_closed());
        let mut events = Events::empty();
        events.set(Events::READABLE, ends || self.receives.has_data());
        events.set(Events::RDHUP, ends);
        events.set(Events::HUP, ends && is_refused);
        events.set(Events::WRITABLE, self.sends.is_writable());
        events
    }
}

/// Connects two sockets that are not connected yet; each end sees the identity of the other.
///
/// # Errors
///
/// `EISCONN` if one is connected, or listening.
pub(super) fn join(
    first: (&Arc<UnixSocket>, &StreamBody, Identity),
    second: (&Arc<UnixSocket>, &StreamBody, Identity),
) -> Result<(), Errno> {
    let (there, back) = (channel(first.0, second.0), channel(second.0, first.0));
    let own = Connection::new(&there, &back, second.0, second.2);
    let other = Connection::new(&back, &there, first.0, first.2);
    first.1.role.set(Role::Connected(own)).map_err(|_| errno::EISCONN)?;
    second.1.role.set(Role::Connected(other)).map_err(|_| errno::EISCONN)
}

/// Makes the channel of what `from` sends to `to`.
pub(super) fn channel(from: &UnixSocket, to: &UnixSocket) -> Arc<Channel> {
    let framing = if from.kind == SocketType::Stream { Framing::Bytes } else { Framing::Packets };
    Arc::new(Channel::new(framing, &from.queue, &to.queue, Arc::clone(&from.options)))
}

/// Connects `socket` to the one that is bound to `address`, and waits for room in its backlog unless `is_non_blocking`.
pub(super) fn connect(
    socket: &Arc<UnixSocket>,
    body: &StreamBody,
    cx: &mut SyscallCx<'_>,
    address: &UnixAddress,
    is_non_blocking: bool,
) -> Result<(), Fail> {
    match body.role.get() {
        None => {}
        Some(Role::Listening { .. }) => return Err(fail(errno::EINVAL, "is listening")),
        Some(Role::Connected(_)) => return Err(fail(errno::EISCONN, "is connected")),
    }
    let target = names::find(cx, address)?;
    let target_body = target.stream().filter(|_| target.kind == socket.kind);
    let target_body = target_body.ok_or(fail(errno::EPROTOTYPE, "the other socket is of another type"))?;
    let Some(Role::Listening { backlog, identity }) = target_body.role.get() else {
        return Err(fail(errno::ECONNREFUSED, "the other socket is not listening"));
    };
    let caller = Identity::of(cx.task);
    let attempt = |_: &mut SyscallCx<'_>| {
        let connect = || {
            let server = UnixSocket::accepted(&target);
            let server_body = server.stream().ok_or(errno::EPROTOTYPE)?;
            join((socket, body, caller.clone()), (&server, server_body, identity.clone()))?;
            Ok(server)
        };
        backlog.add(connect).map_err(Fail::from)
    };
    if is_non_blocking {
        attempt(cx)?;
    } else {
        let deadline = match socket.options.send_timeout() {
            Some(timeout) => cx.deadline(Some(timeout)),
            None => None,
        };
        cx.block_on(backlog.connectors(), Events::WRITABLE, deadline, Restart::Sys, attempt)?;
    }
    socket.queue.wake(Events::WRITABLE);
    Ok(())
}
