//! `capget(2)`, `capset(2)`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Address;
use crate::prelude::*;
use crate::task::{Capabilities, Credentials};

/// `struct __user_cap_header_struct`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// `struct __user_cap_data_struct`: 32 bits of each set.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const VERSION_1: u32 = 0x1998_0330;
const VERSION_2: u32 = 0x2007_1026;
const VERSION_3: u32 = 0x2008_0522;

/// Reads the header. Returns it with the number of structures that its version has.
fn read_header(cx: &SyscallCx<'_>, header: Address) -> Result<(Header, usize), Fail> {
    let mut read: Header = cx.memory().read(header)?;
    match read.version {
        VERSION_1 => Ok((read, 1)),
        VERSION_2 | VERSION_3 => Ok((read, 2)),
        _ => {
            // So that the caller learns which version there is.
            read.version = VERSION_3;
            cx.memory().write(header, &read)?;
            Err(fail(errno::EINVAL, "unknown version"))
        }
    }
}

/// Handles `capget(header, data)`.
pub(super) fn sys_capget(cx: &mut SyscallCx<'_>, header: Address, data: Address) -> SyscallResult {
    let (header, count) = match read_header(cx, header) {
        Err(failure) if failure.is(errno::EINVAL) && data.is_null() => return Ok(Outcome::OK),
        read => read?,
    };
    let credentials: Arc<Credentials> = match header.pid {
        ..0 => return Err(fail(errno::EINVAL, "`pid` is negative")),
        0 => cx.credentials(),
        pid => {
            cx.kernel().processes.task(cx.pid(pid)).ok_or(fail(errno::ESRCH, "no such thread"))?.credentials()
        }
    };
    let sets = [credentials.effective, credentials.permitted, credentials.inheritable];
    for (at, shift) in (0_u64..).zip([0, 32]).take(count) {
        let [effective, permitted, inheritable] =
            sets.map(|set| u32::try_from((set.bits() >> shift) & 0xffff_ffff).unwrap_or(0));
        let at = Address(data.0.wrapping_add(at * size_of::<Data>() as u64));
        cx.memory().write(at, &Data { effective, permitted, inheritable })?;
    }
    Ok(Outcome::OK)
}

/// Handles `capset(header, data)`.
pub(super) fn sys_capset(cx: &mut SyscallCx<'_>, header: Address, data: Address) -> SyscallResult {
    let (header, count) = read_header(cx, header)?;
    if header.pid != 0 && cx.pid(header.pid) != cx.task.tid() {
        return Err(fail(errno::EPERM, "only the caller's own can be set"));
    }
    let data: Vec<Data> = cx.memory().read_array(data, count)?;
    let set = |part: fn(&Data) -> u32| {
        let bits = data.iter().rev().fold(0_u64, |bits, data| (bits << 32) | u64::from(part(data)));
        Capabilities::from_bits_truncate(bits)
    };
    let (effective, permitted) = (set(|data| data.effective), set(|data| data.permitted));
    let new = cx.credentials().capset(effective, permitted, set(|data| data.inheritable));
    cx.set_credentials(new.map_err(|errno| fail(errno, "a set would be larger than allowed"))?);
    Ok(Outcome::OK)
}
