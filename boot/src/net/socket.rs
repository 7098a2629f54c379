//! What sockets of all families have in common.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use cloister_abi::{ioctl, net};
use serde::{Deserialize, Serialize};

use super::channel::Take;
use super::inet::{TcpSocket, UdpSocket};
use super::netlink::NetlinkSocket;
use super::unix::UnixSocket;
use super::{Ancillary, SocketAddress, SocketOptions, Ucred, interface};
use crate::context::{Because, SyscallCx};
use crate::error::{Errno, Fail, SyscallResult, fail};
use crate::event::{Events, WaitQueue};
use crate::fs::{FileCx, FileOps, OpenFile, Sink, Source};
use crate::prelude::errno;
use crate::syscall::Address;

/// What kind of communication a socket is for (`socket(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SocketType {
    /// `SOCK_STREAM`.
    Stream,
    /// `SOCK_DGRAM`.
    Datagram,
    /// `SOCK_RAW`.
    Raw,
    /// `SOCK_SEQPACKET`.
    SeqPacket,
}

/// A socket, by its family.
#[derive(Clone, Debug)]
pub(crate) enum SocketByFamily {
    /// `AF_UNIX`.
    Unix(Arc<UnixSocket>),
    /// `AF_INET` and `AF_INET6` with connections.
    Tcp(Arc<TcpSocket>),
    /// `AF_INET` and `AF_INET6` with datagrams.
    Udp(Arc<UdpSocket>),
    /// `AF_NETLINK`.
    Netlink(Arc<NetlinkSocket>),
}

impl SocketType {
    /// Returns the type with this number.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is none, `ESOCKTNOSUPPORT` for those of no family here.
    pub(crate) fn from_raw(raw: u32) -> Result<Self, Errno> {
        Ok(match raw {
            net::SOCK_STREAM => Self::Stream,
            net::SOCK_DGRAM => Self::Datagram,
            net::SOCK_RAW => Self::Raw,
            net::SOCK_SEQPACKET => Self::SeqPacket,
            0..=10 => return Err(errno::ESOCKTNOSUPPORT),
            _ => return Err(errno::EINVAL),
        })
    }

    /// Returns its number.
    pub(crate) fn to_raw(self) -> u32 {
        match self {
            Self::Stream => net::SOCK_STREAM,
            Self::Datagram => net::SOCK_DGRAM,
            Self::Raw => net::SOCK_RAW,
            Self::SeqPacket => net::SOCK_SEQPACKET,
        }
    }
}

/// Where a message goes, once its address was looked up.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    /// A unix socket.
    Unix(Arc<UnixSocket>),
    /// An address of another family.
    Address(SocketAddress),
}

/// A message to be sent.
pub(crate) struct Outgoing<'a> {
    /// Its bytes.
    pub(crate) from: &'a mut dyn Source,
    /// Where it goes, if that is not where the socket is connected to.
    pub(crate) to: Option<&'a Destination>,
    /// Who the receiver is told it is from.
    pub(crate) credentials: Ucred,
    /// What goes with it; taken when it is sent.
    pub(crate) ancillary: Option<Ancillary>,
}

/// A message that was received.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// How many bytes were written to the receiver.
    pub(crate) len: usize,
    /// How many it has, some of which there may have been no room for.
    pub(crate) full_len: usize,
    /// Where it is from, for sockets without connections.
    pub(crate) address: Option<SocketAddress>,
    /// Who it is from.
    pub(crate) credentials: Option<Ucred>,
    /// What came with it.
    pub(crate) ancillary: Option<Ancillary>,
}

/// Which directions are shut down (`shutdown(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shutdown {
    /// `SHUT_RD`.
    Receive,
    /// `SHUT_WR`.
    Send,
    /// `SHUT_RDWR`.
    Both,
}

impl Shutdown {
    /// Returns whether receiving ends.
    pub(crate) fn receives(self) -> bool {
        self != Self::Send
    }

    /// Returns whether sending ends.
    pub(crate) fn sends(self) -> bool {
        self != Self::Receive
    }
}

/// A socket. Operations that would have to wait fail with `EAGAIN`, as those of files do; only connecting waits by
/// itself. The defaults refuse as Linux does for families without the operation.
pub(crate) trait Socket: Send + Sync + Debug {
    /// Returns it by its family, to be saved.
    fn by_family(self: Arc<Self>) -> SocketByFamily;

    /// Returns the family (`AF_*`).
    fn domain(&self) -> u32;

    /// Returns the type.
    fn kind(&self) -> SocketType;

    /// Returns the protocol number.
    fn protocol(&self) -> u32 {
        0
    }

    /// Returns the options.
    fn options(&self) -> &Arc<SocketOptions>;

    /// Returns the queue that is woken when a condition changes.
    fn queue(&self) -> &WaitQueue;

    /// Returns the conditions that it is in.
    fn poll(&self) -> Events;

    /// Gives it a name.
    fn bind(self: Arc<Self>, cx: &mut SyscallCx<'_>, address: &SocketAddress) -> Result<(), Fail>;

    /// Lets others connect to it; `backlog` as in `listen(2)`.
    fn listen(self: Arc<Self>, _cx: &SyscallCx<'_>, _backlog: i32) -> Result<(), Fail> {
        Err(fail(errno::EOPNOTSUPP, "has no connections"))
    }

    /// Connects it. Waits unless `is_non_blocking`.
    fn connect(
        self: Arc<Self>,
        cx: &mut SyscallCx<'_>,
        address: &SocketAddress,
        is_non_blocking: bool,
    ) -> Result<(), Fail>;

    /// Takes a connection that was made to it.
    fn accept(&self) -> Result<Arc<dyn Socket>, Errno> {
        Err(errno::EOPNOTSUPP)
    }

    /// Returns its own address.
    fn local_address(&self) -> SocketAddress;

    /// Returns the address that it is connected to.
    fn peer_address(&self) -> Result<SocketAddress, Errno>;

    /// Finds where a message to `address` goes.
    fn resolve(&self, cx: &mut SyscallCx<'_>, address: &SocketAddress) -> Result<Destination, Fail>;

    /// Sends a message, or as much of a stream as there is room for.
    fn send(self: Arc<Self>, message: &mut Outgoing<'_>) -> Result<usize, Errno>;

    /// Returns the queue that is woken when a message to `to` may find room.
    fn send_queue(&self, _to: Option<&Destination>) -> WaitQueue {
        self.queue().clone()
    }

    /// Receives a message, or what there is of a stream.
    fn receive(&self, into: &mut dyn Sink, take: Take) -> Result<Received, Errno>;

    /// Shuts directions down.
    fn shutdown(&self, how: Shutdown) -> Result<(), Errno>;

    /// Returns whether it is listening.
    fn is_listening(&self) -> bool {
        false
    }

    /// Returns an option that only this family has.
    fn get_option(&self, _cx: &SyscallCx<'_>, _level: u32, _name: u32) -> Result<Vec<u8>, Fail> {
        Err(fail(errno::ENOPROTOOPT, "unknown option"))
    }

    /// Sets an option that only this family has.
    fn set_option(&self, _cx: &SyscallCx<'_>, _level: u32, _name: u32, _value: &[u8]) -> Result<(), Fail> {
        Err(fail(errno::ENOPROTOOPT, "unknown option"))
    }

    /// Returns how many bytes can be received (`SIOCINQ`).
    fn readable_bytes(&self) -> Result<usize, Errno>;

    /// Returns how many bytes were sent and not received (`SIOCOUTQ`).
    fn pending_bytes(&self) -> Result<usize, Errno>;
}

/// A socket as an open file.
#[derive(Debug)]
pub(crate) struct SocketFile {
    socket: Arc<dyn Socket>,
}

/// `SIOCOUTQ`; `SIOCINQ` is `FIONREAD`.
const SIOCOUTQ: u32 = ioctl::TIOCOUTQ;

impl SocketFile {
    /// Makes a file of it.
    pub(crate) fn new(socket: Arc<dyn Socket>) -> Self {
        Self { socket }
    }

    /// Returns the socket that `file` is.
    ///
    /// # Errors
    ///
    /// `ENOTSOCK` if it is none.
    pub(crate) fn of(file: &OpenFile) -> Result<&Arc<dyn Socket>, Fail> {
        let socket = file.ops_as::<Self>().map(|file| &file.socket);
        socket.ok_or(fail(errno::ENOTSOCK, "not a socket"))
    }
}

impl FileOps for SocketFile {
    fn is_stream(&self) -> bool {
        true
    }

    fn writes_all(&self) -> bool {
        self.socket.kind() == SocketType::Stream
    }

    fn wait_limit(&self, events: Events) -> Option<Duration> {
        let options = self.socket.options();
        if events.contains(Events::IN) { options.receive_timeout() } else { options.send_timeout() }
    }

    fn read(&self, _cx: &FileCx<'_>, into: &mut dyn Sink) -> Result<usize, Errno> {
        if into.remaining() == 0 {
            return Ok(0);
        }
        Ok(self.socket.receive(into, Take::Remove)?.len)
    }

    fn write(&self, cx: &FileCx<'_>, from: &mut dyn Source) -> Result<usize, Errno> {
        let credentials = Ucred::real(cx.task);
        let mut message = Outgoing { from, to: None, credentials, ancillary: None };
        Arc::clone(&self.socket).send(&mut message)
    }

    fn poll(&self, _file: &OpenFile) -> Events {
        self.socket.poll()
    }

    fn poll_queue(&self) -> Option<&WaitQueue> {
        Some(self.socket.queue())
    }

    fn ioctl(&self, cx: &mut SyscallCx<'_>, _file: &OpenFile, request: u32, arg: Address) -> SyscallResult {
        let bytes = match request {
            ioctl::FIONREAD => self.socket.readable_bytes().because("not connected")?,
            SIOCOUTQ => self.socket.pending_bytes().because("not connected")?,
            _ => return interface::ioctl(cx, request, arg),
        };
        cx.memory().write(arg, &i32::try_from(bytes).unwrap_or(i32::MAX))?;
        Ok(().into())
    }
}
