//! UDP sockets (`udp(7)`).

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use cloister_sync::{Lock, class};

use super::endpoint::{self, Version};
use super::options::InetOptions;
use super::ports::{Binding, Ports};
use super::{protocol, tcp};
use crate::context::{Because, SyscallCx};
use crate::error::{Errno, Fail, fail};
use crate::event::{Events, WaitQueue};
use crate::fs::Sink;
use crate::net::channel::Take;
use crate::net::datagrams::{Datagram, Datagrams, Limits};
use crate::net::socket::{Shutdown, SocketByFamily};
use crate::net::{Destination, Outgoing, Received, Socket, SocketAddress, SocketOptions, SocketType};
use crate::prelude::errno;

/// The most bytes of a datagram: what an IP packet holds, without the headers.
const MAX_DATAGRAM: usize = 65507;

/// A UDP socket.
#[derive(Debug)]
pub(crate) struct UdpSocket {
    pub(super) version: Version,
    queue: WaitQueue,
    pub(super) options: Arc<SocketOptions>,
    pub(super) inet_options: InetOptions,
    ports: Arc<Ports<Self>>,
    pub(super) binding: OnceLock<Binding<Self>>,
    pub(super) peer: Lock<Option<SocketAddr>, { class::SOCKET }>,
    pub(super) received: Datagrams,
}

impl UdpSocket {
    /// Makes a socket.
    pub(crate) fn new(version: Version, ports: &Arc<Ports<Self>>) -> Arc<Self> {
        Self::with_options(version, ports, SocketOptions::default(), InetOptions::default())
    }

    pub(super) fn with_options(
        version: Version,
        ports: &Arc<Ports<Self>>,
        options: SocketOptions,
        inet_options: InetOptions,
    ) -> Arc<Self> {
        let queue = WaitQueue::new();
        Arc::new(Self {
            version,
            received: Datagrams::new(queue.clone()),
            queue,
            options: Arc::new(options),
            inet_options,
            ports: Arc::clone(ports),
            binding: OnceLock::new(),
            peer: Lock::new(None),
        })
    }

    /// Binds it to `address`.
    pub(super) fn bind_to(self: &Arc<Self>, address: SocketAddr) -> Result<(), Errno> {
        if self.binding.get().is_some() {
            return Err(errno::EINVAL);
        }
        let binding = self.ports.bind(Arc::downgrade(self), &self.options, address)?;
        self.binding.set(binding).map_err(|_| errno::EINVAL)
    }

    /// Connects it: it sends to `peer` if it says nothing else, and takes only what comes from there.
    pub(super) fn connect_to(self: &Arc<Self>, peer: SocketAddr) -> Result<(), Errno> {
        self.bind_if_unbound()?;
        *self.peer.lock() = Some(peer);
        Ok(())
    }

    fn bind_if_unbound(self: &Arc<Self>) -> Result<(), Errno> {
        match self.binding.get() {
            Some(_) => Ok(()),
            None => self.bind_to(SocketAddr::new(self.version.unspecified(), 0)),
        }
    }

    /// Returns its address as one that it sends to sees it.
    fn source(&self, to: SocketAddr) -> SocketAddr {
        let bound = self.binding.get().map_or(to, |binding| binding.address);
        if bound.ip().is_unspecified() {
            SocketAddr::new(endpoint::source_for(to.ip()), bound.port())
        } else {
            bound
        }
    }

    /// Returns the socket that takes what `from` sends to `to`: one that is connected to it before others.
    fn receiver(&self, from: SocketAddr, to: SocketAddr) -> Option<Arc<Self>> {
        let mut unconnected = None;
        for socket in self.ports.find(to) {
            let peer = *socket.peer.lock();
            match peer {
                Some(peer) if peer == from => return Some(socket),
                Some(_) => {}
                // The newest: as in Linux it hides those that share its port by `SO_REUSEADDR`.
                None => unconnected = Some(socket),
            }
        }
        unconnected
    }
}

impl Socket for UdpSocket {
    fn by_family(self: Arc<Self>) -> SocketByFamily {
        SocketByFamily::Udp(self)
    }

    fn domain(&self) -> u32 {
        self.version.domain()
    }

    fn kind(&self) -> SocketType {
        SocketType::Datagram
    }

    fn protocol(&self) -> u32 {
        protocol::UDP
    }

    fn options(&self) -> &Arc<SocketOptions> {
        &self.options
    }

    fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn poll(&self) -> Events {
        let mut events = Events::WRITABLE;
        events.set(Events::READABLE, self.received.has_data() || self.received.is_refused());
        events.set(Events::RDHUP, self.received.is_refused());
        events.set(Events::ERR, self.options.has_error());
        events
    }

    fn bind(self: Arc<Self>, cx: &mut SyscallCx<'_>, address: &SocketAddress) -> Result<(), Fail> {
        let address = self.version.take(address)?;
        tcp::check_bind(cx, address)?;
        self.bind_to(address).because("the port is used, or the socket has one")
    }

    fn connect(
        self: Arc<Self>,
        _cx: &mut SyscallCx<'_>,
        address: &SocketAddress,
        _is_non_blocking: bool,
    ) -> Result<(), Fail> {
        if *address == SocketAddress::Unspecified {
            *self.peer.lock() = None;
            return Ok(());
        }
        let peer = endpoint::reach(self.version.take(address)?)?;
        self.connect_to(peer).because("no port is free")
    }

    fn local_address(&self) -> SocketAddress {
        let unbound = SocketAddr::new(self.version.unspecified(), 0);
        let bound = self.binding.get().map_or(unbound, |binding| binding.address);
        let peer = *self.peer.lock();
        self.version.show(peer.map_or(bound, |peer| self.source(peer)))
    }

    fn peer_address(&self) -> Result<SocketAddress, Errno> {
        let peer = *self.peer.lock();
        Ok(self.version.show(peer.ok_or(errno::ENOTCONN)?))
    }

    fn resolve(&self, _cx: &mut SyscallCx<'_>, address: &SocketAddress) -> Result<Destination, Fail> {
        let to = self.version.take(address)?;
        if to.port() == 0 {
            return Err(fail(errno::EINVAL, "the port is 0"));
        }
        Ok(Destination::Address(SocketAddress::Inet(endpoint::reach(to)?)))
    }

    fn send(self: Arc<Self>, message: &mut Outgoing<'_>) -> Result<usize, Errno> {
        self.options.check_error()?;
        let peer = *self.peer.lock();
        let to = match message.to {
            Some(Destination::Address(SocketAddress::Inet(to))) => *to,
            Some(_) => return Err(errno::EINVAL),
            None => peer.ok_or(errno::EDESTADDRREQ)?,
        };
        let len = message.from.remaining();
        if len > MAX_DATAGRAM {
            return Err(errno::EMSGSIZE);
        }
        self.bind_if_unbound()?;
        let mut bytes = vec![0; len].into_boxed_slice();
        if message.from.read(&mut bytes)? < len {
            return Err(errno::EFAULT);
        }
        let from = self.source(to);
        let Some(receiver) = self.receiver(from, to) else {
            // A connected socket learns of it with its next call.
            if peer == Some(to) {
                self.options.set_error(errno::ECONNREFUSED);
                self.queue.wake(Events::ERR);
            }
            return Ok(len);
        };
        let limits = Limits { datagrams: usize::MAX, bytes: receiver.options.receive_buffer() };
        let from = receiver.version.show(from);
        let datagram = Datagram { bytes, from, credentials: message.credentials, ancillary: None };
        // What finds no room is lost.
        let _ = receiver.received.push(datagram, limits);
        Ok(len)
    }

    fn receive(&self, into: &mut dyn Sink, take: Take) -> Result<Received, Errno> {
        self.options.check_error()?;
        self.received.receive(into, take)
    }

    fn shutdown(&self, how: Shutdown) -> Result<(), Errno> {
        self.peer.lock().ok_or(errno::ENOTCONN)?;
        if how.receives() {
            self.received.refuse();
        }
        Ok(())
    }

    fn get_option(&self, _cx: &SyscallCx<'_>, level: u32, name: u32) -> Result<Vec<u8>, Fail> {
        check_level(level)?;
        self.inet_options.get(&self.options, level, name)
    }

    fn set_option(&self, _cx: &SyscallCx<'_>, level: u32, name: u32, value: &[u8]) -> Result<(), Fail> {
        check_level(level)?;
        self.inet_options.set(&self.options, level, name, value)
    }

    fn readable_bytes(&self) -> Result<usize, Errno> {
        Ok(self.received.readable_bytes())
    }

    fn pending_bytes(&self) -> Result<usize, Errno> {
        Ok(0)
    }
}

fn check_level(level: u32) -> Result<(), Fail> {
    if level == protocol::TCP { Err(fail(errno::EOPNOTSUPP, "not a TCP socket")) } else { Ok(()) }
}
