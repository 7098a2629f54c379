//! Which families there are.

use std::sync::Arc;

use cloister_abi::net;

use super::inet::{TcpSocket, UdpSocket, Version, protocol as ip_protocol};
use super::netlink::NetlinkSocket;
use super::unix::UnixSocket;
use super::{Socket, SocketType};
use crate::context::{Because, SyscallCx};
use crate::error::{Fail, fail};
use crate::prelude::errno;

/// Makes a socket.
///
/// # Errors
///
/// `EAFNOSUPPORT` if there is no such family, `EPROTONOSUPPORT` if it has no such protocol, `ESOCKTNOSUPPORT` if it has no
/// such type.
pub(crate) fn create(
    cx: &SyscallCx<'_>,
    domain: u32,
    kind: SocketType,
    protocol: u32,
) -> Result<Arc<dyn Socket>, Fail> {
    match domain {
        net::AF_UNIX => {
            if protocol != 0 && protocol != net::AF_UNIX {
                return Err(fail(errno::EPROTONOSUPPORT, "unknown `protocol`"));
            }
            Ok(UnixSocket::new(kind).because("unix sockets have no such type")?)
        }
        net::AF_INET => create_inet(cx, Version::V4, kind, protocol),
        net::AF_INET6 => create_inet(cx, Version::V6, kind, protocol),
        net::AF_NETLINK => create_netlink(cx, kind, protocol),
        _ => Err(fail(errno::EAFNOSUPPORT, "unknown `domain`")),
    }
}

fn create_inet(
    cx: &SyscallCx<'_>,
    version: Version,
    kind: SocketType,
    protocol: u32,
) -> Result<Arc<dyn Socket>, Fail> {
    let inet = &cx.task.net().inet;
    match (kind, protocol) {
        (SocketType::Stream, 0 | ip_protocol::TCP) => Ok(TcpSocket::new(version, &inet.tcp)),
        (SocketType::Datagram, 0 | ip_protocol::UDP) => Ok(UdpSocket::new(version, &inet.udp)),
        (SocketType::Raw, _) => Err(fail(errno::EPERM, "there are no packets")),
        (SocketType::SeqPacket, _) => Err(fail(errno::ESOCKTNOSUPPORT, "internet sockets have no such type")),
        _ => Err(fail(errno::EPROTONOSUPPORT, "unknown `protocol`")),
    }
}

fn create_netlink(cx: &SyscallCx<'_>, kind: SocketType, protocol: u32) -> Result<Arc<dyn Socket>, Fail> {
    /// `NETLINK_ROUTE`.
    const ROUTE: u32 = 0;
    match (kind, protocol) {
        (SocketType::Raw | SocketType::Datagram, ROUTE) => {
            Ok(NetlinkSocket::new(kind, cx.number(cx.group().tgid())))
        }
        (SocketType::Raw | SocketType::Datagram, _) => {
            Err(fail(errno::EPROTONOSUPPORT, "only routes can be asked for"))
        }
        _ => Err(fail(errno::ESOCKTNOSUPPORT, "netlink sockets have no such type")),
    }
}
