//! Addresses: which are local, and how IPv4 ones look to IPv6 sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use cloister_abi::net;
use serde::{Deserialize, Serialize};

use crate::error::{Fail, fail};
use crate::net::SocketAddress;
use crate::prelude::errno;

/// The version of IP that a socket was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Version {
    /// `AF_INET`.
    V4,
    /// `AF_INET6`, which reaches IPv4 addresses too, mapped into IPv6 ones.
    V6,
}

impl Version {
    /// Returns the family.
    pub(crate) fn domain(self) -> u32 {
        match self {
            Self::V4 => net::AF_INET,
            Self::V6 => net::AF_INET6,
        }
    }

    /// Returns the address that stands for all addresses.
    pub(super) fn unspecified(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Self::V6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }

    /// Takes an address that was given for a socket of this version; a mapped IPv4 address becomes an IPv4 one.
    ///
    /// # Errors
    ///
    /// `EAFNOSUPPORT` if it is of another family.
    pub(super) fn take(self, address: &SocketAddress) -> Result<SocketAddr, Fail> {
        match (self, address) {
            (Self::V4, SocketAddress::Inet(address @ SocketAddr::V4(_))) => Ok(*address),
            (Self::V6, SocketAddress::Inet(SocketAddr::V6(address))) => {
                Ok(SocketAddr::new(address.ip().to_canonical(), address.port()))
            }
            _ => Err(fail(errno::EAFNOSUPPORT, "the address is of another family")),
        }
    }

    /// Returns the address as a socket of this version shows it.
    pub(super) fn show(self, address: SocketAddr) -> SocketAddress {
        SocketAddress::Inet(match (self, address) {
            (Self::V6, SocketAddr::V4(v4)) if v4.ip().is_unspecified() => {
                SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, v4.port(), 0, 0).into()
            }
            (Self::V6, SocketAddr::V4(v4)) => {
                SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into()
            }
            _ => address,
        })
    }
}

/// Checks that packets to `address` would arrive; the unspecified address stands for the loopback device's.
///
/// # Errors
///
/// `ENETUNREACH` if they would not.
pub(super) fn reach(address: SocketAddr) -> Result<SocketAddr, Fail> {
    match address.ip() {
        ip if ip.is_loopback() => Ok(address),
        ip if ip.is_unspecified() => Ok(SocketAddr::new(source_for(ip), address.port())),
        _ => Err(fail(errno::ENETUNREACH, "the sandbox has no network")),
    }
}

/// Checks that a socket may be bound to `ip`.
///
/// # Errors
///
/// `EADDRNOTAVAIL` if it is not an address of the sandbox.
pub(super) fn check_own(ip: IpAddr) -> Result<(), Fail> {
    if ip.is_loopback() || ip.is_unspecified() {
        Ok(())
    } else {
        Err(fail(errno::EADDRNOTAVAIL, "not an address of the sandbox"))
    }
}

/// Returns the address that packets to `ip` come from if their socket is not bound to one.
pub(super) fn source_for(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}
