//! Sockets (`socket(7)`).
//!
//! | module | subject |
//! |---|---|
//! | [`socket`] | what all families have in common: the trait, and the file that a descriptor refers to |
//! | [`options`] | options of the level `SOL_SOCKET` |
//! | [`address`] | addresses, from and to the guest |
//! | [`ancillary`] | descriptors and credentials that travel with data |
//! | [`control_message`] | the form of these in guest memory |
//! | [`channel`] | one direction of a connection: bytes or packets |
//! | [`datagrams`] | the queue of a socket without connections |
//! | [`backlog`] | connections that wait to be accepted |
//! | [`image`] | the saved forms of channels, datagrams and backlogs |
//! | [`wait`] | sends and receives that wait |
//! | [`unix`] | `AF_UNIX` |
//! | [`inet`] | `AF_INET`, `AF_INET6` |
//! | [`netlink`] | `AF_NETLINK` |
//! | [`interface`] | what `ioctl(2)` tells of the loopback device |
//!
//! # Locking
//!
//! What a stream socket is (unconnected, listening, connected) is set once and read without a lock, so a send or receive
//! takes one lock: that of the [`channel::Channel`] it goes through, of [`class::STREAM`]. [`class::SOCKET`] protects a
//! backlog, or the peer of a datagram socket, and is taken before; [`class::SOCKET_NAMES`] protects tables of names, and
//! is taken before both. Files and sockets are dropped with none of them held.
//!
//! [`class::STREAM`]: cloister_sync::class::STREAM
//! [`class::SOCKET`]: cloister_sync::class::SOCKET
//! [`class::SOCKET_NAMES`]: cloister_sync::class::SOCKET_NAMES

pub(crate) mod address;
pub(crate) mod ancillary;
pub(crate) mod backlog;
pub(crate) mod channel;
pub(crate) mod control_message;
mod create;
pub(crate) mod datagrams;
pub(crate) mod image;
pub(crate) mod inet;
mod interface;
pub(crate) mod netlink;
pub(crate) mod options;
pub(crate) mod socket;
pub(crate) mod unix;
pub(crate) mod wait;

pub(crate) use address::SocketAddress;
pub(crate) use ancillary::{Ancillary, InFlight, Ucred};
pub(crate) use create::create;
pub(crate) use options::SocketOptions;
pub(crate) use socket::{Destination, Outgoing, Received, Socket, SocketByFamily, SocketFile, SocketType};

/// A network namespace (`network_namespaces(7)`): a loopback device, and names that sockets have.
#[derive(Debug, Default)]
pub(crate) struct NetNamespace {
    /// Abstract names.
    pub(crate) unix_names: unix::Names,
    /// Ports.
    pub(crate) inet: inet::Inet,
}
