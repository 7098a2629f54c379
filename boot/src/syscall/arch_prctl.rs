//! `arch_prctl(2)`: the base addresses of the segments FS (the thread pointer) and GS.

use super::{Address, Int};
use crate::prelude::*;

const ARCH_SET_GS: Int = 0x1001;
const ARCH_SET_FS: Int = 0x1002;
const ARCH_GET_FS: Int = 0x1003;
const ARCH_GET_GS: Int = 0x1004;
const ARCH_GET_CPUID: Int = 0x1011;
const ARCH_SET_CPUID: Int = 0x1012;

/// Handles `arch_prctl(code, address)`.
///
/// `CPUID` can't be made to fault: this is the answer on a processor without that feature.
pub(super) fn sys_arch_prctl(cx: &mut SyscallCx<'_>, code: Int, address: Address) -> SyscallResult {
    match code {
        ARCH_SET_FS => cx.registers_mut().fs_base = check(cx, address)?,
        ARCH_SET_GS => cx.registers_mut().gs_base = check(cx, address)?,
        ARCH_GET_FS => cx.memory().write(address, &cx.registers().fs_base)?,
        ARCH_GET_GS => cx.memory().write(address, &cx.registers().gs_base)?,
        ARCH_GET_CPUID => return Ok(1_u32.into()),
        ARCH_SET_CPUID => return Err(fail(errno::ENODEV, "`CPUID` can't be made to fault")),
        _ => return Err(fail(errno::EINVAL, "unknown `code`")),
    }
    Ok(Outcome::OK)
}

fn check(cx: &SyscallCx<'_>, address: Address) -> Result<u64, Fail> {
    if address.0 < cx.mm().space().range().end {
        Ok(address.0)
    } else {
        Err(fail(errno::EPERM, "not an address of the program's"))
    }
}
