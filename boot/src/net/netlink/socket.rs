//! A netlink socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cloister_abi::net;
use serde::{Deserialize, Serialize};

use super::{message, route};
use crate::context::SyscallCx;
use crate::error::{Errno, Fail, fail};
use crate::event::{Events, WaitQueue};
use crate::fs::Sink;
use crate::net::channel::Take;
use crate::net::datagrams::{Datagram, Datagrams, Limits};
use crate::net::image::{DatagramsImage, Files};
use crate::net::options::SocketOptionsImage;
use crate::net::socket::{Shutdown, SocketByFamily};
use crate::net::{Destination, Outgoing, Received, Socket, SocketAddress, SocketOptions, SocketType, Ucred};
use crate::prelude::errno;

/// The level of the options of netlink sockets (`SOL_NETLINK`).
const SOL_NETLINK: u32 = 270;

/// No request is longer.
const MAX_REQUEST: usize = 64 << 10;

/// A netlink socket of the protocol `NETLINK_ROUTE`.
#[derive(Debug)]
pub(crate) struct NetlinkSocket {
    kind: SocketType,
    queue: WaitQueue,
    options: Arc<SocketOptions>,
    /// Its own address: answers come to it by the socket, so it need not be unique.
    port: AtomicU32,
    groups: AtomicU32,
    received: Datagrams,
}

/// The saved form of a [`NetlinkSocket`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NetlinkSocketImage {
    kind: SocketType,
    options: SocketOptionsImage,
    port: u32,
    groups: u32,
    received: DatagramsImage,
}

impl NetlinkSocket {
    /// Returns its saved form.
    pub(crate) fn to_image(&self) -> NetlinkSocketImage {
        NetlinkSocketImage {
            kind: self.kind,
            options: self.options.to_image(),
            port: self.port.load(Ordering::Relaxed),
            groups: self.groups.load(Ordering::Relaxed),
            received: self.received.to_image(),
        }
    }

    /// Makes a socket as it was saved.
    ///
    /// # Errors
    ///
    /// `EINVAL` if an answer has descriptors that `files` does not know.
    pub(crate) fn from_image(image: NetlinkSocketImage, files: Files<'_>) -> Result<Arc<Self>, Errno> {
        let queue = WaitQueue::new();
        let received = Datagrams::new(queue.clone());
        received.restore(image.received, files)?;
        Ok(Arc::new(Self {
            kind: image.kind,
            queue,
            options: Arc::new(SocketOptions::from_image(image.options)),
            port: AtomicU32::new(image.port),
            groups: AtomicU32::new(image.groups),
            received,
        }))
    }

    /// Makes a socket of a task of the process `process`.
    pub(crate) fn new(kind: SocketType, process: i32) -> Arc<Self> {
        let queue = WaitQueue::new();
        Arc::new(Self {
            kind,
            received: Datagrams::new(queue.clone()),
            queue,
            options: Arc::default(),
            port: AtomicU32::new(process.cast_unsigned()),
            groups: AtomicU32::new(0),
        })
    }
}

impl Socket for NetlinkSocket {
    fn by_family(self: Arc<Self>) -> SocketByFamily {
        SocketByFamily::Netlink(self)
    }

    fn domain(&self) -> u32 {
        net::AF_NETLINK
    }

    fn kind(&self) -> SocketType {
        self.kind
    }

    fn options(&self) -> &Arc<SocketOptions> {
        &self.options
    }

    fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    fn poll(&self) -> Events {
        let mut events = Events::WRITABLE;
        events.set(Events::READABLE, self.received.has_data());
        events
    }

    fn bind(self: Arc<Self>, _cx: &mut SyscallCx<'_>, address: &SocketAddress) -> Result<(), Fail> {
        let SocketAddress::Netlink(port, groups) = *address else {
            return Err(fail(errno::EINVAL, "not a netlink address"));
        };
        if port != 0 {
            self.port.store(port, Ordering::Relaxed);
        }
        // Nothing ever happens that a group would be told of.
        self.groups.store(groups, Ordering::Relaxed);
        Ok(())
    }

    fn connect(
        self: Arc<Self>,
        _cx: &mut SyscallCx<'_>,
        address: &SocketAddress,
        _is_non_blocking: bool,
    ) -> Result<(), Fail> {
        check_kernel(address)
    }

    fn local_address(&self) -> SocketAddress {
        SocketAddress::Netlink(self.port.load(Ordering::Relaxed), self.groups.load(Ordering::Relaxed))
    }

    fn peer_address(&self) -> Result<SocketAddress, Errno> {
        Ok(SocketAddress::Netlink(0, 0))
    }

    fn resolve(&self, _cx: &mut SyscallCx<'_>, address: &SocketAddress) -> Result<Destination, Fail> {
        check_kernel(address)?;
        Ok(Destination::Address(address.clone()))
    }

    fn send(self: Arc<Self>, message: &mut Outgoing<'_>) -> Result<usize, Errno> {
        let len = message.from.remaining();
        if len > MAX_REQUEST {
            return Err(errno::EMSGSIZE);
        }
        let mut bytes = vec![0; len];
        if message.from.read(&mut bytes)? < len {
            return Err(errno::EFAULT);
        }
        let limits = Limits { datagrams: usize::MAX, bytes: self.options.receive_buffer() };
        for (request, payload) in message::requests(&bytes) {
            let answer = route::answer(request, payload, self.port.load(Ordering::Relaxed));
            if answer.is_empty() {
                continue;
            }
            let from = SocketAddress::Netlink(0, 0);
            let credentials = Ucred { pid: 0, uid: 0, gid: 0 };
            let datagram = Datagram { bytes: answer.into(), from, credentials, ancillary: None };
            // As in Linux an answer that finds no room is lost, and the program is told of that.
            if self.received.push(datagram, limits).is_err() {
                self.options.set_error(errno::ENOBUFS);
            }
        }
        Ok(len)
    }

    fn receive(&self, into: &mut dyn Sink, take: Take) -> Result<Received, Errno> {
        self.options.check_error()?;
        self.received.receive(into, take)
    }

    fn shutdown(&self, _how: Shutdown) -> Result<(), Errno> {
        Err(errno::EOPNOTSUPP)
    }

    fn set_option(&self, _cx: &SyscallCx<'_>, level: u32, name: u32, _value: &[u8]) -> Result<(), Fail> {
        // Membership in groups, and details of answers that the kernel may leave out.
        match (level, name) {
            (SOL_NETLINK, 1..=5 | 10..=12) => Ok(()),
            _ => Err(fail(errno::ENOPROTOOPT, "unknown option")),
        }
    }

    fn readable_bytes(&self) -> Result<usize, Errno> {
        Ok(self.received.readable_bytes())
    }

    fn pending_bytes(&self) -> Result<usize, Errno> {
        Ok(0)
    }
}

/// Checks that an address is the kernel's: there is nobody else to talk to.
fn check_kernel(address: &SocketAddress) -> Result<(), Fail> {
    match address {
        SocketAddress::Netlink(0, _) => Ok(()),
        SocketAddress::Netlink(..) => Err(fail(errno::ECONNREFUSED, "nobody has this port")),
        _ => Err(fail(errno::EINVAL, "not a netlink address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::InFlight;
    use crate::testing::saved;

    #[test]
    fn an_image_brings_a_socket_and_its_answers_back() {
        let socket = NetlinkSocket::new(SocketType::Raw, 42);
        socket.groups.store(5, Ordering::Relaxed);
        let datagram = Datagram {
            bytes: (*b"answer").into(),
            from: SocketAddress::Netlink(0, 0),
            credentials: Ucred::default(),
            ancillary: None,
        };
        let limits = Limits { datagrams: 9, bytes: 9000 };
        socket.received.push(datagram, limits).map_err(|(errno, _)| errno).expect("there is room");
        let image = saved(&socket.to_image());
        let files = Files { file_of: &|_| None, in_flight: &Arc::<InFlight>::default() };
        let restored = NetlinkSocket::from_image(image.clone(), files).expect("the image is sound");
        assert_eq!(restored.to_image(), image);
        assert_eq!(
            (restored.kind(), restored.local_address()),
            (SocketType::Raw, SocketAddress::Netlink(42, 5))
        );
        let mut bytes = [0; 6];
        restored.receive(&mut bytes.as_mut_slice(), Take::Remove).expect("there is an answer");
        assert_eq!(&bytes, b"answer");
    }
}
