//! TCP sockets (`tcp(7)`).
//!
//! As a unix one, a TCP socket becomes listening or connected once, and for ever. A connection that can't be made is
//! refused at once; one that can is made at once, so `EINPROGRESS` is never seen.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};

use super::endpoint::{self, Version};
use super::options::InetOptions;
use super::ports::{Binding, Ports};
use super::protocol;
use crate::context::{Because, SyscallCx};
use crate::error::{Errno, Fail, Restart, fail};
use crate::event::{Events, WaitQueue};
use crate::fs::Sink;
use crate::net::backlog::Backlog;
use crate::net::channel::{Channel, Framing, Take};
use crate::net::options::Switches;
use crate::net::socket::{Shutdown, SocketByFamily};
use crate::net::{Destination, Outgoing, Received, Socket, SocketAddress, SocketOptions, SocketType};
use crate::prelude::errno;
use crate::task::Capabilities;

/// A TCP socket.
#[derive(Debug)]
pub(crate) struct TcpSocket {
    pub(super) version: Version,
    pub(super) queue: WaitQueue,
    pub(super) options: Arc<SocketOptions>,
    pub(super) inet_options: InetOptions,
    ports: Arc<Ports<Self>>,
    pub(super) binding: OnceLock<Binding<Self>>,
    pub(super) role: OnceLock<Role>,
}

/// What a socket has become.
#[derive(Debug)]
pub(super) enum Role {
    Listening(Backlog<TcpSocket>),
    Connected(Connection),
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) sends: Arc<Channel>,
    pub(super) receives: Arc<Channel>,
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
    /// The other end, while it is open.
    pub(super) peer_socket: Weak<TcpSocket>,
    /// Where an error of the other end is put.
    peer_options: Arc<SocketOptions>,
    peer_queue: WaitQueue,
}

impl TcpSocket {
    /// Makes a socket that is not connected.
    pub(crate) fn new(version: Version, ports: &Arc<Ports<Self>>) -> Arc<Self> {
        Self::with_options(version, ports, Arc::default(), InetOptions::default())
    }

    pub(super) fn with_options(
        version: Version,
        ports: &Arc<Ports<Self>>,
        options: Arc<SocketOptions>,
        inet_options: InetOptions,
    ) -> Arc<Self> {
        Arc::new(Self {
            version,
            queue: WaitQueue::new(),
            options,
            inet_options,
            ports: Arc::clone(ports),
            binding: OnceLock::new(),
            role: OnceLock::new(),
        })
    }

    pub(super) fn connection(&self) -> Option<&Connection> {
        match self.role.get() {
            Some(Role::Connected(connection)) => Some(connection),
            _ => None,
        }
    }

    /// Binds it to `address`.
    pub(super) fn bind_to(self: &Arc<Self>, address: SocketAddr) -> Result<(), Errno> {
        if self.binding.get().is_some() {
            return Err(errno::EINVAL);
        }
        let binding = self.ports.bind(Arc::downgrade(self), &self.options, address)?;
        self.binding.set(binding).map_err(|_| errno::EINVAL)
    }

    /// Lets others connect to it.
    pub(super) fn listen_for(self: &Arc<Self>, max: i32) -> Result<(), Errno> {
        if self.connection().is_some() {
            return Err(errno::EINVAL);
        }
        if self.binding.get().is_none() {
            self.bind_to(SocketAddr::new(self.version.unspecified(), 0))?;
        }
        if let Some(binding) = self.binding.get() {
            binding.listen()?;
        }
        let role = self.role.get_or_init(|| Role::Listening(Backlog::new(self.queue.clone(), max)));
        match role {
            Role::Listening(backlog) => {
                backlog.set_max(max);
                Ok(())
            }
            Role::Connected(_) => Err(errno::EINVAL),
        }
    }

    /// Returns a socket that listens at `address`; of several the one that a hash of the caller's port chooses.
    pub(super) fn find_listener(ports: &Ports<Self>, address: SocketAddr, hash: u16) -> Option<Arc<Self>> {
        let mut listening = ports.find(address);
        listening.retain(|socket| matches!(socket.role.get(), Some(Role::Listening(_))));
        let at = usize::from(hash).checked_rem(listening.len())?;
        Some(listening.swap_remove(at))
    }

    /// Connects it to `server`, which listens at `to`.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if its backlog is full (and is to be respected), `ECONNREFUSED` if it is closed.
    pub(super) fn connect_to(
        self: &Arc<Self>,
        server: &Arc<Self>,
        to: SocketAddr,
        respects_backlog: bool,
    ) -> Result<(), Errno> {
        let (Some(Role::Listening(backlog)), Some(server_binding)) =
            (server.role.get(), server.binding.get())
        else {
            return Err(errno::ECONNREFUSED);
        };
        if self.binding.get().is_none() {
            self.bind_to(SocketAddr::new(endpoint::source_for(to.ip()), 0))?;
        }
        let bound = self.binding.get().map_or(to, |binding| binding.address);
        let ip = if bound.ip().is_unspecified() { endpoint::source_for(to.ip()) } else { bound.ip() };
        let local = SocketAddr::new(ip, bound.port());
        let options = Arc::new(server.options.inherit());
        let accepted = Self::with_options(server.version, &self.ports, options, InetOptions::default());
        let share = self.ports.share(server_binding, Arc::downgrade(&accepted), to.ip());
        let _ = accepted.binding.set(share);
        let connect = || {
            let (there, back) = (channel(self, &accepted), channel(&accepted, self));
            let own = Connection::new((&there, &back), (local, to), &accepted);
            let other = Connection::new((&back, &there), (to, local), self);
            self.role.set(Role::Connected(own)).map_err(|_| errno::EISCONN)?;
            let _ = accepted.role.set(Role::Connected(other));
            Ok(Arc::clone(&accepted))
        };
        if respects_backlog { backlog.add(connect) } else { backlog.add_in_any_case(connect) }
    }

    /// Closes it: what was not received, or a linger time of zero, resets the connection.
    fn close(&self) {
        match self.role.get() {
            None => {}
            Some(Role::Listening(backlog)) => backlog.close(),
            Some(Role::Connected(connection)) => {
                let has_unread = connection.receives.abandon();
                if has_unread || self.options.aborts() {
                    connection.receives.discard();
                    connection.peer_options.set_error(errno::ECONNRESET);
                }
                connection.sends.end();
                connection.peer_queue.wake(Events::READABLE | Events::ERR | Events::RDHUP);
            }
        }
    }
}

impl Drop for TcpSocket {
    fn drop(&mut self) {
        self.close();
    }
}

/// Makes the channel of what `from` sends to `to`.
pub(super) fn channel(from: &TcpSocket, to: &TcpSocket) -> Arc<Channel> {
    Arc::new(Channel::new(Framing::Bytes, &from.queue, &to.queue, Arc::clone(&from.options)))
}

impl Connection {
    /// Makes the end of a connection to `other`, by the channel it sends to and that it receives from, and its own and
    /// the other's address.
    pub(super) fn new(
        (sends, receives): (&Arc<Channel>, &Arc<Channel>),
        (local, peer): (SocketAddr, SocketAddr),
        other: &Arc<TcpSocket>,
    ) -> Self {
        Self {
            sends: Arc::clone(sends),
            receives: Arc::clone(receives),
            local,
            peer,
            peer_socket: Arc::downgrade(other),
            peer_options: Arc::clone(&other.options),
            peer_queue: other.queue.clone(),
        }
    }

    /// The end of the other side's stream is no hang-up as long as this side's is open.
    fn poll(&self) -> Events {
        let ends = self.receives.is_closed();
        let mut events = Events::empty();
        events.set(Events::READABLE, ends || self.receives.has_data());
        events.set(Events::RDHUP, ends);
        events.set(Events::HUP, ends && self.sends.is_ended());
        events.set(Events::WRITABLE, self.sends.is_closed() || self.sends.is_writable());
        events
    }
}

impl Socket for TcpSocket {
    fn by_family(self: Arc<Self>) -> SocketByFamily {
        SocketByFamily::Tcp(self)
    }

    fn domain(&self) -> u32 {
        self.version.domain()
    }

    fn kind(&self) -> SocketType {
        SocketType::Stream
    }

    fn protocol(&self) -> u32 {
        protocol::TCP
    }

    fn options(&self) -> &Arc<SocketOptions> {
        &self.options
    }

    fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn poll(&self) -> Events {
        let mut events = match self.role.get() {
            None => Events::WRITABLE | Events::HUP,
            Some(Role::Listening(backlog)) => backlog.poll(),
            Some(Role::Connected(connection)) => connection.poll(),
        };
        if self.options.has_error() {
            events |= Events::ERR | Events::HUP | Events::READABLE;
        }
        events
    }

    fn bind(self: Arc<Self>, cx: &mut SyscallCx<'_>, address: &SocketAddress) -> Result<(), Fail> {
        let address = self.version.take(address)?;
        check_bind(cx, address)?;
        self.bind_to(address).because("the port is used, or the socket has one")
    }

    fn listen(self: Arc<Self>, _cx: &SyscallCx<'_>, backlog: i32) -> Result<(), Fail> {
        self.listen_for(backlog).because("the port is used, or the socket is connected")
    }

    fn connect(
        self: Arc<Self>,
        cx: &mut SyscallCx<'_>,
        address: &SocketAddress,
        is_non_blocking: bool,
    ) -> Result<(), Fail> {
        match self.role.get() {
            None => {}
            Some(Role::Listening(_)) => return Err(fail(errno::EISCONN, "is listening")),
            Some(Role::Connected(_)) => return Err(fail(errno::EISCONN, "is connected")),
        }
        let to = endpoint::reach(self.version.take(address)?)?;
        if to.is_ipv4() && self.version == Version::V6 && self.options.has(Switches::V6_ONLY) {
            return Err(fail(errno::ENETUNREACH, "the socket is for IPv6 only"));
        }
        let hash = u16::try_from(cx.task.tid() & 0xffff).unwrap_or(0);
        let server = Self::find_listener(&self.ports, to, hash);
        let server = server.ok_or(fail(errno::ECONNREFUSED, "nobody listens there"))?;
        if is_non_blocking {
            self.connect_to(&server, to, false).because("the connection is refused")?;
        } else {
            let Some(Role::Listening(backlog)) = server.role.get() else {
                return Err(fail(errno::ECONNREFUSED, "nobody listens there"));
            };
            let deadline = self.options.send_timeout().and_then(|timeout| cx.deadline(Some(timeout)));
            cx.block_on(backlog.connectors(), Events::WRITABLE, deadline, Restart::Sys, |_| {
                self.connect_to(&server, to, true).because("the connection is refused")
            })?;
        }
        self.queue.wake(Events::WRITABLE);
        Ok(())
    }

    fn accept(&self) -> Result<Arc<dyn Socket>, Errno> {
        match self.role.get() {
            Some(Role::Listening(backlog)) => Ok(backlog.accept()?),
            _ => Err(errno::EINVAL),
        }
    }

    fn local_address(&self) -> SocketAddress {
        let unbound = SocketAddr::new(self.version.unspecified(), 0);
        let bound = self.binding.get().map_or(unbound, |binding| binding.address);
        self.version.show(self.connection().map_or(bound, |connection| connection.local))
    }

    fn peer_address(&self) -> Result<SocketAddress, Errno> {
        let connection = self.connection().ok_or(errno::ENOTCONN)?;
        Ok(self.version.show(connection.peer))
    }

    fn resolve(&self, _cx: &mut SyscallCx<'_>, address: &SocketAddress) -> Result<Destination, Fail> {
        // As in Linux a connected socket does not look at it.
        Ok(Destination::Address(address.clone()))
    }

    fn send(self: Arc<Self>, message: &mut Outgoing<'_>) -> Result<usize, Errno> {
        if message.ancillary.is_some() {
            return Err(errno::EINVAL);
        }
        self.options.check_error()?;
        self.connection().ok_or(errno::EPIPE)?.sends.send(message)
    }

    fn receive(&self, into: &mut dyn Sink, take: Take) -> Result<Received, Errno> {
        let connection = self.connection().ok_or(errno::ENOTCONN)?;
        if self.options.has_error() && !connection.receives.has_data() {
            self.options.check_error()?;
        }
        connection.receives.receive(into, take, false)
    }

    fn shutdown(&self, how: Shutdown) -> Result<(), Errno> {
        match self.role.get() {
            None => return Err(errno::ENOTCONN),
            Some(Role::Listening(backlog)) if how.receives() => backlog.close(),
            Some(Role::Listening(_)) => {}
            Some(Role::Connected(connection)) => {
                if how.receives() {
                    connection.receives.refuse_quietly();
                }
                if how.sends() {
                    connection.sends.end();
                }
            }
        }
        self.queue.wake(Events::READABLE | Events::WRITABLE | Events::RDHUP | Events::HUP);
        Ok(())
    }

    fn is_listening(&self) -> bool {
        matches!(self.role.get(), Some(Role::Listening(_)))
    }

    fn get_option(&self, _cx: &SyscallCx<'_>, level: u32, name: u32) -> Result<Vec<u8>, Fail> {
        self.inet_options.get(&self.options, level, name)
    }

    fn set_option(&self, _cx: &SyscallCx<'_>, level: u32, name: u32, value: &[u8]) -> Result<(), Fail> {
        self.inet_options.set(&self.options, level, name, value)
    }

    fn readable_bytes(&self) -> Result<usize, Errno> {
        match self.role.get() {
            Some(Role::Listening(_)) => Err(errno::EINVAL),
            Some(Role::Connected(connection)) => Ok(connection.receives.readable_bytes()),
            None => Ok(0),
        }
    }

    fn pending_bytes(&self) -> Result<usize, Errno> {
        match self.role.get() {
            Some(Role::Listening(_)) => Err(errno::EINVAL),
            Some(Role::Connected(connection)) => Ok(connection.sends.pending_bytes()),
            None => Ok(0),
        }
    }
}

/// Checks that the caller may bind a socket to `address`.
pub(super) fn check_bind(cx: &SyscallCx<'_>, address: SocketAddr) -> Result<(), Fail> {
    endpoint::check_own(address.ip())?;
    let is_privileged = (1..cx.kernel().parameters.unprivileged_ports.port()).contains(&address.port());
    if is_privileged && !cx.credentials().has(Capabilities::NET_BIND_SERVICE) {
        return Err(fail(errno::EACCES, "the port is privileged"));
    }
    Ok(())
}
