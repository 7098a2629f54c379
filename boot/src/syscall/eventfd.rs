//! `eventfd(2)`, `eventfd2(2)`.

use super::{Int, UInt};
use crate::error::{SyscallResult, fail};
use crate::event::{EventFd, EventFdMode};
use crate::fs::{OpenFlags, anon};
use crate::prelude::{SyscallCx, errno};

/// `EFD_SEMAPHORE`; the other flags are those of `open`.
const SEMAPHORE: u32 = 1;

/// Handles `eventfd(initval)`.
pub(super) fn sys_eventfd(cx: &mut SyscallCx<'_>, count: UInt) -> SyscallResult {
    sys_eventfd2(cx, count, 0)
}

/// Handles `eventfd2(initval, flags)`.
pub(super) fn sys_eventfd2(cx: &mut SyscallCx<'_>, count: UInt, raw_flags: Int) -> SyscallResult {
    let raw_flags = raw_flags.cast_unsigned();
    let mode = if raw_flags & SEMAPHORE == 0 { EventFdMode::Counter } else { EventFdMode::Semaphore };
    let flags = OpenFlags::from_bits_retain(raw_flags & !SEMAPHORE);
    if !(OpenFlags::CLOSE_ON_EXEC | OpenFlags::NON_BLOCKING).contains(flags) {
        return Err(fail(errno::EINVAL, "unknown `flags`"));
    }
    let counter = Box::new(EventFd::new(u64::from(count), mode));
    anon::install_object(cx, "[eventfd]", counter, flags | OpenFlags::READ_WRITE)
}
