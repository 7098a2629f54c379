//! Requests of `rtnetlink(7)`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use cloister_abi::net;

use super::message::{ACKNOWLEDGE, Answer, DUMP, Header, MIN_TYPE, MULTI, attribute, find_attribute};
use crate::error::Errno;
use crate::net::interface::{LO_FLAGS, LO_HARDWARE, LO_INDEX, LO_MTU, LO_NAME, LO_QUEUE_LEN};
use crate::prelude::errno;

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_GETROUTE: u16 = 26;

/// Every fourth type, counted from the first, asks; the others change something.
const GET: u16 = 2;

const IFLA_ADDRESS: u16 = 1;
const IFLA_BROADCAST: u16 = 2;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_QDISC: u16 = 6;
const IFLA_TXQLEN: u16 = 13;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKMODE: u16 = 17;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;

/// `IFF_LOWER_UP`, which `ioctl(2)` has no room for.
const LOWER_UP: u32 = 0x1_0000;
/// `IFA_F_PERMANENT`.
const PERMANENT: u8 = 0x80;
/// `RT_SCOPE_HOST`.
const SCOPE_HOST: u8 = 254;

/// The size of `struct ifinfomsg`; `ifi_index` is its second word.
const LINK_BYTES: usize = 16;

/// The addresses of the loopback device, with the lengths of their prefixes.
const ADDRESSES: [(IpAddr, u8); 2] =
    [(IpAddr::V4(Ipv4Addr::LOCALHOST), 8), (IpAddr::V6(Ipv6Addr::LOCALHOST), 128)];

/// Answers a request; `payload` is what follows its header.
pub(super) fn answer(request: Header, payload: &[u8], port: u32) -> Vec<u8> {
    let mut answer = Answer::new(request, port);
    let is_dump = request.flags & DUMP == DUMP;
    if request.kind < MIN_TYPE {
        if request.flags & ACKNOWLEDGE != 0 {
            answer.ended(Ok(()));
        }
        return answer.into_bytes();
    }
    if is_dump && request.kind % 4 == GET {
        dump(&mut answer, request.kind, payload);
        answer.done();
        return answer.into_bytes();
    }
    let result = match request.kind {
        RTM_GETLINK => one_link(&mut answer, payload),
        RTM_GETROUTE => Err(errno::ENETUNREACH),
        _ => Err(errno::EOPNOTSUPP),
    };
    if result.is_err() || request.flags & ACKNOWLEDGE != 0 {
        answer.ended(result);
    }
    answer.into_bytes()
}

/// Lists all objects of a type; of most there are none.
fn dump(answer: &mut Answer, kind: u16, payload: &[u8]) {
    match kind {
        RTM_GETLINK => answer.message(RTM_NEWLINK, MULTI, link),
        RTM_GETADDR => {
            let family = payload.first().copied().unwrap_or(0);
            for (address, prefix_len) in ADDRESSES {
                if family == 0 || family == family_of(address) {
                    answer.message(RTM_NEWADDR, MULTI, |bytes| write_address(bytes, address, prefix_len));
                }
            }
        }
        _ => {}
    }
}

/// Tells of the device that the request names by its number or its name.
fn one_link(answer: &mut Answer, payload: &[u8]) -> Result<(), Errno> {
    let index = payload.get(4..8).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_ne_bytes);
    let name = payload.get(LINK_BYTES..).and_then(|attributes| find_attribute(attributes, IFLA_IFNAME));
    let is_lo = match name {
        _ if index != 0 => index == LO_INDEX,
        Some(name) => name.split(|byte| *byte == 0).next() == Some(LO_NAME),
        None => return Err(errno::EINVAL),
    };
    if !is_lo {
        return Err(errno::ENODEV);
    }
    answer.message(RTM_NEWLINK, 0, link);
    Ok(())
}

fn family_of(address: IpAddr) -> u8 {
    u8::try_from(if address.is_ipv4() { net::AF_INET } else { net::AF_INET6 }).unwrap_or(0)
}

/// Returns the device's name with its NUL.
fn name() -> Vec<u8> {
    [LO_NAME, b"\0"].concat()
}

/// Writes `struct ifinfomsg` and attributes of the loopback device.
fn link(bytes: &mut Vec<u8>) {
    bytes.extend([0; 2]);
    bytes.extend(LO_HARDWARE.to_ne_bytes());
    bytes.extend(LO_INDEX.to_ne_bytes());
    bytes.extend((u32::from(LO_FLAGS) | LOWER_UP).to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    attribute(bytes, IFLA_IFNAME, &name());
    attribute(bytes, IFLA_TXQLEN, &LO_QUEUE_LEN.to_ne_bytes());
    attribute(bytes, IFLA_OPERSTATE, &[0]);
    attribute(bytes, IFLA_LINKMODE, &[0]);
    attribute(bytes, IFLA_MTU, &LO_MTU.to_ne_bytes());
    attribute(bytes, IFLA_QDISC, b"noqueue\0");
    attribute(bytes, IFLA_ADDRESS, &[0; 6]);
    attribute(bytes, IFLA_BROADCAST, &[0; 6]);
}

/// Writes `struct ifaddrmsg` and attributes of an address of the loopback device.
fn write_address(bytes: &mut Vec<u8>, address: IpAddr, prefix_len: u8) {
    bytes.extend([family_of(address), prefix_len, PERMANENT, SCOPE_HOST]);
    bytes.extend(LO_INDEX.to_ne_bytes());
    match address {
        IpAddr::V4(address) => {
            attribute(bytes, IFA_ADDRESS, &address.octets());
            attribute(bytes, IFA_LOCAL, &address.octets());
            attribute(bytes, IFA_LABEL, &name());
        }
        IpAddr::V6(address) => attribute(bytes, IFA_ADDRESS, &address.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::requests;
    use super::*;

    fn kinds(request: Header, payload: &[u8]) -> Vec<(u16, u16)> {
        let answers = answer(request, payload, 7);
        requests(&answers).map(|(header, _)| (header.kind, header.flags)).collect()
    }

    fn request(kind: u16, flags: u16) -> Header {
        Header { len: 16, kind, flags, sequence: 3, port: 0 }
    }

    #[test]
    fn lists_end_with_done() {
        let done = (3, MULTI);
        assert_eq!(kinds(request(RTM_GETLINK, DUMP), &[0; 16]), [(RTM_NEWLINK, MULTI), done]);
        let addresses = [(RTM_NEWADDR, MULTI), (RTM_NEWADDR, MULTI), done];
        assert_eq!(kinds(request(RTM_GETADDR, DUMP), &[0; 8]), addresses);
        assert_eq!(kinds(request(RTM_GETADDR, DUMP), &[2, 0, 0, 0]), addresses[1..]);
        assert_eq!(kinds(request(RTM_GETROUTE, DUMP), &[]), [done]);
    }

    #[test]
    fn single_requests_are_answered_or_refused() {
        let mut by_index = [0; 16];
        by_index[4] = 1;
        assert_eq!(kinds(request(RTM_GETLINK, 0), &by_index), [(RTM_NEWLINK, 0)]);
        assert_eq!(kinds(request(RTM_GETLINK, ACKNOWLEDGE), &by_index), [(RTM_NEWLINK, 0), (2, 0)]);
        by_index[4] = 2;
        assert_eq!(kinds(request(RTM_GETLINK, 0), &by_index), [(2, 0)]);
        assert_eq!(kinds(request(RTM_NEWADDR, 0), &[]), [(2, 0)]);
        let mut by_name = vec![0; 16];
        attribute(&mut by_name, IFLA_IFNAME, b"lo\0");
        assert_eq!(kinds(request(RTM_GETLINK, 0), &by_name), [(RTM_NEWLINK, 0)]);
    }

    #[test]
    fn requests_that_are_cut_off_are_left_out() {
        assert_eq!(requests(&[1; 15]).count(), 0);
        let mut bytes = answer(request(RTM_GETLINK, DUMP), &[0; 16], 7);
        bytes.pop();
        assert_eq!(requests(&bytes).count(), 1);
        assert_eq!(find_attribute(&[3, 0, 1, 0], 1), None);
        assert_eq!(find_attribute(&[0, 0, 1, 0], 2), None);
    }
}
