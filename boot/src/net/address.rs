//! Addresses of sockets (`socket(7)`, `unix(7)`, `ip(7)`).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use cloister_abi::net;
use serde::{Deserialize, Serialize};

use crate::context::SyscallCx;
use crate::error::{Fail, fail};
use crate::prelude::errno;
use crate::syscall::Address;

/// The longest address (`struct sockaddr_storage`).
const MAX_BYTES: usize = 128;

/// The size of the family.
const FAMILY_BYTES: usize = 2;

/// The longest path or abstract name.
const UNIX_PATH_MAX: usize = 108;

/// The shortest IPv6 address that is accepted: without the scope.
const INET6_MIN_BYTES: usize = 24;

/// The name of a unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum UnixAddress {
    /// It has none.
    Unnamed,
    /// A path, as it was given.
    Path(Vec<u8>),
    /// A name of no file system, without the NUL that begins it.
    Abstract(Vec<u8>),
}

/// An address of a socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SocketAddress {
    /// `AF_UNSPEC`: to dissolve an association.
    Unspecified,
    /// `AF_UNIX`.
    Unix(UnixAddress),
    /// `AF_INET` and `AF_INET6`.
    Inet(SocketAddr),
    /// `AF_NETLINK`: port and groups.
    Netlink(u32, u32),
    /// Another family.
    Other(u16),
}

impl SocketAddress {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// `EINVAL` if its length does not fit, `EFAULT`.
    pub(crate) fn read(cx: &SyscallCx<'_>, address: Address, len: i32) -> Result<Self, Fail> {
        let len = usize::try_from(len).ok().filter(|len| *len <= MAX_BYTES);
        let len = len.ok_or(fail(errno::EINVAL, "`addrlen` is out of range"))?;
        let mut bytes = [0; MAX_BYTES];
        let bytes = bytes.get_mut(..len).unwrap_or_default();
        cx.memory().read_bytes(address, bytes)?;
        Self::parse(bytes).ok_or(fail(errno::EINVAL, "the address is too short"))
    }

    /// Takes an address from its form in guest memory; `None` if it is too short, or too long.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (family, rest) = bytes.split_first_chunk::<FAMILY_BYTES>()?;
        let family = u16::from_ne_bytes(*family);
        Some(match u32::from(family) {
            net::AF_UNSPEC => Self::Unspecified,
            net::AF_UNIX => Self::Unix(parse_unix(rest)?),
            net::AF_INET => {
                let (port, rest) = rest.split_first_chunk::<2>()?;
                let (ip, rest) = rest.split_first_chunk::<4>()?;
                let _padding: &[u8; 8] = rest.first_chunk()?;
                Self::Inet(SocketAddrV4::new(Ipv4Addr::from(*ip), u16::from_be_bytes(*port)).into())
            }
            net::AF_INET6 => {
                if bytes.len() < INET6_MIN_BYTES {
                    return None;
                }
                let (port, rest) = rest.split_first_chunk::<2>()?;
                let (flow, rest) = rest.split_first_chunk::<4>()?;
                let (ip, rest) = rest.split_first_chunk::<16>()?;
                let scope = rest.first_chunk::<4>().copied().unwrap_or_default();
                let (port, flow) = (u16::from_be_bytes(*port), u32::from_be_bytes(*flow));
                Self::Inet(
                    SocketAddrV6::new(Ipv6Addr::from(*ip), port, flow, u32::from_ne_bytes(scope)).into(),
                )
            }
            net::AF_NETLINK => {
                let (_padding, rest) = rest.split_first_chunk::<2>()?;
                let (port, rest) = rest.split_first_chunk::<4>()?;
                let groups = rest.first_chunk::<4>()?;
                Self::Netlink(u32::from_ne_bytes(*port), u32::from_ne_bytes(*groups))
            }
            _ => Self::Other(family),
        })
    }

    /// Returns its form in guest memory.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(28);
        let mut family = |family: u32| bytes.extend(u16::try_from(family).unwrap_or(0).to_ne_bytes());
        match self {
            Self::Unspecified => family(net::AF_UNSPEC),
            Self::Unix(name) => {
                family(net::AF_UNIX);
                match name {
                    UnixAddress::Unnamed => {}
                    UnixAddress::Path(path) => {
                        bytes.extend(path);
                        bytes.push(0);
                    }
                    UnixAddress::Abstract(name) => {
                        bytes.push(0);
                        bytes.extend(name);
                    }
                }
            }
            Self::Inet(SocketAddr::V4(address)) => {
                family(net::AF_INET);
                bytes.extend(address.port().to_be_bytes());
                bytes.extend(address.ip().octets());
                bytes.extend([0; 8]);
            }
            Self::Inet(SocketAddr::V6(address)) => {
                family(net::AF_INET6);
                bytes.extend(address.port().to_be_bytes());
                bytes.extend(address.flowinfo().to_be_bytes());
                bytes.extend(address.ip().octets());
                bytes.extend(address.scope_id().to_ne_bytes());
            }
            Self::Netlink(port, groups) => {
                family(net::AF_NETLINK);
                bytes.extend([0; 2]);
                bytes.extend(port.to_ne_bytes());
                bytes.extend(groups.to_ne_bytes());
            }
            Self::Other(other) => family(u32::from(*other)),
        }
        bytes
    }

    /// Writes as much of it as `len` bytes hold to `address`. Returns its whole length.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub(crate) fn write(&self, cx: &SyscallCx<'_>, address: Address, len: usize) -> Result<u32, Fail> {
        let bytes = self.to_bytes();
        cx.memory().write_bytes(address, bytes.get(..len).unwrap_or(&bytes))?;
        Ok(u32::try_from(bytes.len()).unwrap_or(u32::MAX))
    }

    /// Writes it as [`SocketAddress::write`], with the room for it at `len`, where its whole length is put.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the room is negative, `EFAULT`.
    pub(crate) fn write_with_len(
        &self,
        cx: &SyscallCx<'_>,
        address: Address,
        len: Address,
    ) -> Result<(), Fail> {
        let room: i32 = cx.memory().read(len)?;
        let room = usize::try_from(room).map_err(|_| fail(errno::EINVAL, "`addrlen` is negative"))?;
        let whole = self.write(cx, address, room)?;
        cx.memory().write(len, &whole)
    }
}

fn parse_unix(rest: &[u8]) -> Option<UnixAddress> {
    match rest {
        [] => Some(UnixAddress::Unnamed),
        _ if rest.len() > UNIX_PATH_MAX => None,
        [0, name @ ..] => Some(UnixAddress::Abstract(name.to_vec())),
        path => Some(UnixAddress::Path(path.split(|byte| *byte == 0).next().unwrap_or(path).to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_a_round_trip() {
        let addresses = [
            SocketAddress::Unix(UnixAddress::Unnamed),
            SocketAddress::Unix(UnixAddress::Path(b"/run/x".to_vec())),
            SocketAddress::Unix(UnixAddress::Abstract(b"a\0b".to_vec())),
            SocketAddress::Inet("127.0.0.1:80".parse().expect("valid")),
            SocketAddress::Inet("[::1]:443".parse().expect("valid")),
            SocketAddress::Netlink(7, 1),
        ];
        for address in addresses {
            assert_eq!(SocketAddress::parse(&address.to_bytes()), Some(address));
        }
    }

    #[test]
    fn short_and_long_addresses_are_refused() {
        assert_eq!(SocketAddress::parse(&[2]), None);
        assert_eq!(SocketAddress::parse(&[2, 0, 0, 80, 127, 0, 0, 1]), None);
        assert_eq!(SocketAddress::parse(&[[1, 0].as_slice(), &[b'x'; 109]].concat()), None);
        let longest = SocketAddress::parse(&[[1, 0].as_slice(), &[b'x'; 108]].concat());
        assert_eq!(longest, Some(SocketAddress::Unix(UnixAddress::Path(vec![b'x'; 108]))));
    }
}
