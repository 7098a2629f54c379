//! Internet sockets (`ip(7)`, `tcp(7)`, `udp(7)`), over the loopback device only: nothing else is connected to a sandbox
//! without a network.
//!
//! No packets are made: a TCP connection is a pair of [`channels`](super::channel), a UDP datagram is put into its
//! receiver's queue. What a network does to packets (loss, delay, reordering) does not happen.
//!
//! | module | subject |
//! |---|---|
//! | [`endpoint`] | addresses: which are local, how IPv4 ones look to IPv6 sockets |
//! | [`ports`] | who has which port |
//! | [`tcp`], [`udp`] | the sockets |
//! | [`image`] | their saved forms |
//! | [`options`] | options of the levels of IP, IPv6 and TCP |

mod endpoint;
mod image;
mod options;
mod ports;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;

pub(crate) use endpoint::Version;
pub(crate) use image::{TcpSocketImage, UdpSocketImage};
pub(crate) use ports::Ports;
pub(crate) use tcp::TcpSocket;
pub(crate) use udp::UdpSocket;

/// What internet sockets share.
#[derive(Debug, Default)]
pub(crate) struct Inet {
    /// Who has which TCP port.
    pub(crate) tcp: std::sync::Arc<Ports<TcpSocket>>,
    /// Who has which UDP port.
    pub(crate) udp: std::sync::Arc<Ports<UdpSocket>>,
}

/// Protocol numbers, also the levels of options (`/etc/protocols`).
pub(crate) mod protocol {
    /// `IPPROTO_IP`.
    pub(crate) const IP: u32 = 0;
    /// `IPPROTO_TCP`.
    pub(crate) const TCP: u32 = 6;
    /// `IPPROTO_UDP`.
    pub(crate) const UDP: u32 = 17;
    /// `IPPROTO_IPV6`.
    pub(crate) const IPV6: u32 = 41;
}
