//! `uname(2)`, `sethostname(2)`, `setdomainname(2)`.

use zerocopy::{Immutable, IntoBytes};

use super::{Address, Size};
use crate::kernel::{MACHINE, RELEASE, VERSION};
use crate::prelude::*;
use crate::task::Capabilities;

/// `struct new_utsname` (`linux/utsname.h`): six strings with their NULs.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable)]
#[repr(C)]
struct Utsname {
    fields: [[u8; 65]; 6],
}

/// The part of a personality that is the execution domain.
const PERSONALITY: u32 = 0xff;
const PER_LINUX32: u32 = 8;

/// Handles `uname(buf)`.
pub(super) fn sys_uname(cx: &mut SyscallCx<'_>, buf: Address) -> SyscallResult {
    let names = cx.task.uts().names();
    // `PER_LINUX32`: 32-bit programs are to be built and run.
    let is_32_bit = cx.task.attributes.lock().personality & PERSONALITY == PER_LINUX32;
    let machine = if is_32_bit { "i686" } else { MACHINE };
    let mut utsname = Utsname { fields: [[0; 65]; 6] };
    let values =
        [b"Linux", &*names.host, RELEASE.as_bytes(), VERSION.as_bytes(), machine.as_bytes(), &*names.domain];
    for (field, value) in utsname.fields.iter_mut().zip(values) {
        // All values are shorter than a field.
        for (to, from) in field.iter_mut().zip(value) {
            *to = *from;
        }
    }
    cx.memory().write(buf, &utsname)?;
    Ok(Outcome::OK)
}

/// Handles `sethostname(name, len)`.
pub(super) fn sys_sethostname(cx: &mut SyscallCx<'_>, name: Address, len: Size) -> SyscallResult {
    let name = new_name(cx, name, len)?;
    Ok(cx.task.uts().set_host(&name)?.into())
}

/// Handles `setdomainname(name, len)`.
pub(super) fn sys_setdomainname(cx: &mut SyscallCx<'_>, name: Address, len: Size) -> SyscallResult {
    let name = new_name(cx, name, len)?;
    Ok(cx.task.uts().set_domain(&name)?.into())
}

fn new_name(cx: &SyscallCx<'_>, name: Address, len: Size) -> Result<Vec<u8>, Fail> {
    if !cx.credentials().has(Capabilities::SYS_ADMIN) {
        return Err(fail(errno::EPERM, "the caller lacks `CAP_SYS_ADMIN`"));
    }
    if len > 64 {
        return Err(fail(errno::EINVAL, "the name is longer than 64 bytes"));
    }
    cx.memory().read_array(name, len)
}
