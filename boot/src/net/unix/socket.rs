//! A unix socket.

use std::sync::{Arc, OnceLock};

use cloister_abi::net;
use zerocopy::IntoBytes;

use super::datagram::DatagramBody;
use super::stream::{self, Role, StreamBody};
use super::{Names, names};
use crate::context::SyscallCx;
use crate::error::{Errno, Fail, fail};
use crate::event::{Events, WaitQueue};
use crate::fs::{Inode, Sink};
use crate::net::address::UnixAddress;
use crate::net::channel::Take;
use crate::net::socket::{Shutdown, SocketByFamily};
use crate::net::{Destination, Outgoing, Received, Socket, SocketAddress, SocketOptions, SocketType, Ucred};
use crate::prelude::{Task, errno};
use crate::task::{Credentials, Pid};

/// Who made a connection, or listened for it.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(super) pid: Pid,
    pub(super) credentials: Arc<Credentials>,
}

impl Identity {
    /// Returns the identity of `task`.
    pub(crate) fn of(task: &Task) -> Self {
        Self { pid: task.group().tgid(), credentials: task.credentials() }
    }

    fn ucred(&self) -> Ucred {
        Ucred { pid: self.pid, uid: self.credentials.euid, gid: self.credentials.egid }
    }

    #[cfg(test)]
    pub(super) fn for_test(pid: Pid) -> Self {
        Self { pid, credentials: Arc::default() }
    }
}

/// A unix socket of any type.
#[derive(Debug)]
pub(crate) struct UnixSocket {
    pub(super) kind: SocketType,
    pub(super) queue: WaitQueue,
    pub(super) options: Arc<SocketOptions>,
    /// Its name; the sockets of accepted connections share that of the listening one.
    pub(super) name: Arc<OnceLock<UnixAddress>>,
    /// The inode that is its name in a file system, if it was bound to one.
    pub(super) inode: OnceLock<Arc<dyn Inode>>,
    /// The table that its abstract name is in, if it was bound to one.
    pub(super) names: OnceLock<Names>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Stream(StreamBody),
    Datagram(DatagramBody),
}

impl UnixSocket {
    /// Makes a socket without a name.
    ///
    /// # Errors
    ///
    /// `ESOCKTNOSUPPORT` for types that unix sockets do not have.
    pub(crate) fn new(kind: SocketType) -> Result<Arc<Self>, Errno> {
        Ok(Self::with_options(kind, Arc::default(), Arc::default()))
    }

    /// Makes the server's end of a connection that is made to `listening`.
    pub(super) fn accepted(listening: &Self) -> Arc<Self> {
        Self::with_options(listening.kind, Arc::clone(&listening.name), Arc::default())
    }

    pub(super) fn with_options(
        kind: SocketType,
        name: Arc<OnceLock<UnixAddress>>,
        options: Arc<SocketOptions>,
    ) -> Arc<Self> {
        // As in Linux a raw unix socket is one for datagrams.
        let kind = if kind == SocketType::Raw { SocketType::Datagram } else { kind };
        let queue = WaitQueue::new();
        let body = match kind {
            SocketType::Datagram => Body::Datagram(DatagramBody::new(&queue)),
            _ => Body::Stream(StreamBody::default()),
        };
        let (inode, names) = (OnceLock::new(), OnceLock::new());
        Arc::new(Self { kind, queue, options, name, inode, names, body })
    }

    /// Makes two sockets that are connected with each other (`socketpair(2)`).
    ///
    /// # Errors
    ///
    /// As [`UnixSocket::new`].
    pub(crate) fn pair(kind: SocketType, identity: &Identity) -> Result<[Arc<Self>; 2], Errno> {
        let (first, second) = (Self::new(kind)?, Self::new(kind)?);
        match (&first.body, &second.body) {
            (Body::Stream(a), Body::Stream(b)) => {
                stream::join((&first, a, identity.clone()), (&second, b, identity.clone()))?;
            }
            (Body::Datagram(a), Body::Datagram(b)) => {
                a.connect(&first, &second)?;
                b.connect(&second, &first)?;
            }
            _ => {}
        }
        Ok([first, second])
    }

    pub(super) fn stream(&self) -> Option<&StreamBody> {
        match &self.body {
            Body::Stream(body) => Some(body),
            Body::Datagram(_) => None,
        }
    }

    pub(super) fn datagram(&self) -> Option<&DatagramBody> {
        match &self.body {
            Body::Datagram(body) => Some(body),
            Body::Stream(_) => None,
        }
    }

    pub(super) fn name(&self) -> UnixAddress {
        self.name.get().cloned().unwrap_or(UnixAddress::Unnamed)
    }

    /// Gives it the abstract name `name`, or one that nobody has.
    pub(super) fn bind_abstract(self: &Arc<Self>, names: &Names, name: Option<&[u8]>) -> Result<(), Errno> {
        let name = match name {
            Some(name) => {
                names.bind(name, self)?;
                name.to_vec()
            }
            None => names.bind_automatically(self)?,
        };
        // Its name is freed with it only if it has it.
        self.name.set(UnixAddress::Abstract(name)).map_err(|_| errno::EINVAL)?;
        self.names.set(names.clone()).map_err(|_| errno::EINVAL)
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        match &self.body {
            Body::Stream(body) => body.close(),
            Body::Datagram(body) => body.received.close(),
        }
        if let (Some(names), Some(UnixAddress::Abstract(name))) = (self.names.get(), self.name.get()) {
            names.unbind(name);
        }
    }
}

/// Returns the name that an address of the family is.
fn unix_name(address: &SocketAddress) -> Result<&UnixAddress, Fail> {
    match address {
        SocketAddress::Unix(name) => Ok(name),
        _ => Err(fail(errno::EINVAL, "not a unix address")),
    }
}

impl Socket for UnixSocket {
    fn by_family(self: Arc<Self>) -> SocketByFamily {
        SocketByFamily::Unix(self)
    }

    fn domain(&self) -> u32 {
        net::AF_UNIX
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
        match &self.body {
            Body::Stream(body) => body.poll(&self.options),
            Body::Datagram(body) => body.poll(&self.options),
        }
    }

    fn bind(self: Arc<Self>, cx: &mut SyscallCx<'_>, address: &SocketAddress) -> Result<(), Fail> {
        let name = unix_name(address)?;
        if self.name.get().is_some() {
            return Err(fail(errno::EINVAL, "has a name"));
        }
        match name {
            UnixAddress::Unnamed => self.bind_abstract(&cx.task.net().unix_names, None)?,
            UnixAddress::Abstract(name) => self.bind_abstract(&cx.task.net().unix_names, Some(name))?,
            UnixAddress::Path(path) => {
                let inode = names::bind_path(cx, path, &self)?;
                self.inode.set(inode).map_err(|_| errno::EINVAL)?;
                self.name.set(name.clone()).map_err(|_| errno::EINVAL)?;
            }
        }
        Ok(())
    }

    fn listen(self: Arc<Self>, cx: &SyscallCx<'_>, backlog: i32) -> Result<(), Fail> {
        let body = self.stream().ok_or(fail(errno::EOPNOTSUPP, "has no connections"))?;
        if self.name.get().is_none() {
            return Err(fail(errno::EINVAL, "has no name"));
        }
        body.listen(&self.queue, Identity::of(cx.task), backlog)
    }

    fn connect(
        self: Arc<Self>,
        cx: &mut SyscallCx<'_>,
        address: &SocketAddress,
        is_non_blocking: bool,
    ) -> Result<(), Fail> {
        match &self.body {
            Body::Datagram(body) if *address == SocketAddress::Unspecified => body.disconnect(),
            Body::Datagram(body) => {
                let target = names::find(cx, unix_name(address)?)?;
                body.connect(&self, &target)?;
            }
            Body::Stream(body) => stream::connect(&self, body, cx, unix_name(address)?, is_non_blocking)?,
        }
        Ok(())
    }

    fn accept(&self) -> Result<Arc<dyn Socket>, Errno> {
        let body = self.stream().ok_or(errno::EOPNOTSUPP)?;
        Ok(body.backlog().ok_or(errno::EINVAL)?.accept()?)
    }

    fn local_address(&self) -> SocketAddress {
        SocketAddress::Unix(self.name())
    }

    fn peer_address(&self) -> Result<SocketAddress, Errno> {
        let name = match &self.body {
            Body::Stream(body) => body.connection().ok_or(errno::ENOTCONN)?.peer_name(),
            Body::Datagram(body) => body.peer().map_err(|_| errno::ENOTCONN)?.name(),
        };
        Ok(SocketAddress::Unix(name))
    }

    fn resolve(&self, cx: &mut SyscallCx<'_>, address: &SocketAddress) -> Result<Destination, Fail> {
        match &self.body {
            Body::Stream(body) if self.kind == SocketType::Stream => match body.connection() {
                Some(_) => Err(fail(errno::EISCONN, "is connected")),
                None => Err(fail(errno::EOPNOTSUPP, "sends only to what it is connected to")),
            },
            // As in Linux the address is not looked at.
            Body::Stream(_) => Ok(Destination::Address(address.clone())),
            Body::Datagram(_) => Ok(Destination::Unix(names::find(cx, unix_name(address)?)?)),
        }
    }

    fn send(self: Arc<Self>, message: &mut Outgoing<'_>) -> Result<usize, Errno> {
        match &self.body {
            Body::Stream(body) => body.send(&self.options, message),
            Body::Datagram(body) => body.send(&self, &self.options, message),
        }
    }

    fn send_queue(&self, to: Option<&Destination>) -> WaitQueue {
        let target = match (&self.body, to) {
            (Body::Datagram(_), Some(Destination::Unix(target))) => Some(Arc::clone(target)),
            (Body::Datagram(body), None) => body.peer().ok(),
            _ => None,
        };
        let senders =
            target.as_ref().and_then(|target| target.datagram()).map(|body| body.received.senders());
        senders.unwrap_or(&self.queue).clone()
    }

    fn receive(&self, into: &mut dyn Sink, take: Take) -> Result<Received, Errno> {
        match &self.body {
            Body::Stream(body) => {
                let mut received = body.receive(self.kind, &self.options, into, take)?;
                received.address = body.connection().map(|end| SocketAddress::Unix(end.peer_name()));
                Ok(received)
            }
            Body::Datagram(body) => body.receive(&self.options, into, take),
        }
    }

    fn shutdown(&self, how: Shutdown) -> Result<(), Errno> {
        match &self.body {
            Body::Stream(body) => body.shutdown(how),
            Body::Datagram(body) => body.shutdown(how),
        }
        self.queue.wake(Events::READABLE | Events::WRITABLE | Events::RDHUP | Events::HUP);
        Ok(())
    }

    fn is_listening(&self) -> bool {
        self.stream().is_some_and(|body| body.backlog().is_some())
    }

    fn get_option(&self, cx: &SyscallCx<'_>, level: u32, name: u32) -> Result<Vec<u8>, Fail> {
        let identity = match self.stream().and_then(|body| body.role.get()) {
            Some(Role::Connected(connection)) => Some(&connection.peer),
            Some(Role::Listening { identity, .. }) => Some(identity),
            None => None,
        };
        match (level, name) {
            (net::SOL_SOCKET, net::SO_PEERCRED) => {
                let unknown = Ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
                Ok(identity.map_or(unknown, Identity::ucred).as_seen_by(cx).as_bytes().to_vec())
            }
            (net::SOL_SOCKET, net::SO_PEERGROUPS) => {
                let identity = identity.ok_or(fail(errno::ENODATA, "not connected"))?;
                Ok(identity.credentials.groups.as_bytes().to_vec())
            }
            _ => Err(fail(errno::ENOPROTOOPT, "unknown option")),
        }
    }

    fn readable_bytes(&self) -> Result<usize, Errno> {
        match &self.body {
            Body::Stream(body) if body.backlog().is_some() => Err(errno::EINVAL),
            Body::Stream(body) => Ok(body.connection().map_or(0, |end| end.receives.readable_bytes())),
            Body::Datagram(body) => Ok(body.received.readable_bytes()),
        }
    }

    fn pending_bytes(&self) -> Result<usize, Errno> {
        Ok(self.stream().and_then(StreamBody::connection).map_or(0, |end| end.sends.pending_bytes()))
    }
}
