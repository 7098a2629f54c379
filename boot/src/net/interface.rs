//! What `ioctl(2)` tells of the loopback device (`netdevice(7)`).

use std::net::Ipv4Addr;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::context::SyscallCx;
use crate::error::{SyscallResult, fail};
use crate::net::SocketAddress;
use crate::prelude::errno;
use crate::syscall::Address;

/// The device's name.
pub(super) const LO_NAME: &[u8] = b"lo";
/// The device's number.
pub(super) const LO_INDEX: i32 = 1;
/// The largest packet that it would take, in bytes.
pub(super) const LO_MTU: i32 = 65536;

/// `IFF_UP | IFF_LOOPBACK | IFF_RUNNING`.
pub(super) const LO_FLAGS: u16 = 0x1 | 0x8 | 0x40;
/// `ARPHRD_LOOPBACK`.
pub(super) const LO_HARDWARE: u16 = 772;

/// The length of its queue, if it had one.
pub(super) const LO_QUEUE_LEN: i32 = 1000;

const SIOCGIFNAME: u32 = 0x8910;
const SIOCGIFCONF: u32 = 0x8912;
const SIOCGIFFLAGS: u32 = 0x8913;
const SIOCGIFADDR: u32 = 0x8915;
const SIOCGIFBRDADDR: u32 = 0x8919;
const SIOCGIFNETMASK: u32 = 0x891b;
const SIOCGIFMETRIC: u32 = 0x891d;
const SIOCGIFMTU: u32 = 0x8921;
const SIOCGIFHWADDR: u32 = 0x8927;
const SIOCGIFINDEX: u32 = 0x8933;
const SIOCGIFTXQLEN: u32 = 0x8942;

/// The size of a name.
const NAME_BYTES: usize = 16;

/// `struct ifreq`: a name, and what is asked or told.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Request {
    name: [u8; NAME_BYTES],
    value: [u8; 24],
}

/// `struct ifconf`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct List {
    len: i32,
    _padding: u32,
    requests: u64,
}

impl Request {
    fn of_lo() -> Self {
        let mut request = Self::default();
        request.name.iter_mut().zip(LO_NAME).for_each(|(to, from)| *to = *from);
        request
    }

    fn is_lo(&self) -> bool {
        self.name.split(|byte| *byte == 0).next() == Some(LO_NAME)
    }

    fn set(&mut self, bytes: &[u8]) {
        self.value.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    }

    fn set_address(&mut self, address: Ipv4Addr) {
        self.set(&SocketAddress::Inet((address, 0).into()).to_bytes());
    }
}

/// Carries out an `ioctl(2)` about devices.
///
/// # Errors
///
/// `ENODEV` for another device, `ENOTTY` for another request, `EFAULT`.
pub(super) fn ioctl(cx: &SyscallCx<'_>, number: u32, arg: Address) -> SyscallResult {
    if number == SIOCGIFCONF {
        return list(cx, arg);
    }
    let is_known = matches!(
        number,
        SIOCGIFNAME
            | SIOCGIFFLAGS
            | SIOCGIFADDR
            | SIOCGIFBRDADDR
            | SIOCGIFNETMASK
            | SIOCGIFMETRIC
            | SIOCGIFMTU
            | SIOCGIFHWADDR
            | SIOCGIFINDEX
            | SIOCGIFTXQLEN
    );
    if !is_known {
        return Err(fail(errno::ENOTTY, "not a request of this socket"));
    }
    let mut request: Request = cx.memory().read(arg)?;
    let is_lo = match number {
        SIOCGIFNAME => request.value.starts_with(&LO_INDEX.to_ne_bytes()),
        _ => request.is_lo(),
    };
    if !is_lo {
        return Err(fail(errno::ENODEV, "there is only the device `lo`"));
    }
    match number {
        SIOCGIFNAME => request = Request { value: request.value, ..Request::of_lo() },
        SIOCGIFFLAGS => request.set(&LO_FLAGS.to_ne_bytes()),
        SIOCGIFADDR => request.set_address(Ipv4Addr::LOCALHOST),
        SIOCGIFBRDADDR => request.set_address(Ipv4Addr::UNSPECIFIED),
        SIOCGIFNETMASK => request.set_address(Ipv4Addr::new(255, 0, 0, 0)),
        SIOCGIFMETRIC => request.set(&0_i32.to_ne_bytes()),
        SIOCGIFMTU => request.set(&LO_MTU.to_ne_bytes()),
        SIOCGIFHWADDR => {
            request.value = [0; 24];
            request.set(&LO_HARDWARE.to_ne_bytes());
        }
        SIOCGIFINDEX => request.set(&LO_INDEX.to_ne_bytes()),
        _ => request.set(&LO_QUEUE_LEN.to_ne_bytes()),
    }
    cx.memory().write(arg, &request)?;
    Ok(().into())
}

/// Lists the devices, or tells how much room the list needs.
fn list(cx: &SyscallCx<'_>, arg: Address) -> SyscallResult {
    let mut list: List = cx.memory().read(arg)?;
    let mut request = Request::of_lo();
    request.set_address(Ipv4Addr::LOCALHOST);
    let size = i32::try_from(size_of::<Request>()).unwrap_or(i32::MAX);
    if list.requests == 0 {
        list.len = size;
    } else if list.len >= size {
        cx.memory().write(Address(list.requests), &request)?;
        list.len = size;
    } else {
        list.len = 0;
    }
    cx.memory().write(arg, &list)?;
    Ok(().into())
}
