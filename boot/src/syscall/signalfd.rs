//! `signalfd(2)`, `signalfd4(2)`.

use std::any::Any;

use super::signal_state::check_set_size;
use super::{Address, Fd, Int, Size};
use crate::fs::{OpenFlags, anon};
use crate::prelude::*;
use crate::signal::{SignalFd, SignalSet};

/// Handles `signalfd(fd, set, size)`.
pub(super) fn sys_signalfd(cx: &mut SyscallCx<'_>, fd: Fd, set: Address, size: Size) -> SyscallResult {
    sys_signalfd4(cx, fd, set, size, 0)
}

/// Handles `signalfd4(fd, set, size, flags)`; -1 makes a file, another descriptor is changed.
pub(super) fn sys_signalfd4(
    cx: &mut SyscallCx<'_>,
    fd: Fd,
    set: Address,
    size: Size,
    raw_flags: Int,
) -> SyscallResult {
    check_set_size(size)?;
    let set = SignalSet::mask(cx.memory().read(set)?);
    let flags = OpenFlags::from_bits_retain(raw_flags.cast_unsigned());
    if !(OpenFlags::CLOSE_ON_EXEC | OpenFlags::NON_BLOCKING).contains(flags) {
        return Err(fail(errno::EINVAL, "unknown `flags`"));
    }
    if fd.0 == -1 {
        let file = Box::new(SignalFd::new(set, cx.task));
        return anon::install_object(cx, "[signalfd]", file, flags | OpenFlags::READ_WRITE);
    }
    let file = cx.file(fd)?;
    let ops: &dyn Any = file.ops();
    ops.downcast_ref::<SignalFd>().ok_or(fail(errno::EINVAL, "not a file of signals"))?.set(set);
    Ok(fd.0.into())
}
