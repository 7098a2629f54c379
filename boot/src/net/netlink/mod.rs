//! Netlink sockets (`netlink(7)`), of the protocol `NETLINK_ROUTE` (`rtnetlink(7)`): what network devices, addresses and
//! routes there are. A sandbox without a network has the loopback device, and nothing of it can be changed.
//!
//! A request is answered while it is sent: the answers wait in the socket's queue.

mod message;
mod route;
mod socket;

pub(crate) use socket::{NetlinkSocket, NetlinkSocketImage};
