//! `pipe(2)`, `pipe2(2)`.

use super::{Address, Int};
use crate::error::{SyscallResult, fail};
use crate::fs::{OpenFlags, anon};
use crate::prelude::{SyscallCx, errno};

/// The flags of `pipe2`.
const FLAGS: OpenFlags = OpenFlags::CLOSE_ON_EXEC.union(OpenFlags::NON_BLOCKING).union(OpenFlags::DIRECT);

/// Handles `pipe(fds)`.
pub(super) fn sys_pipe(cx: &mut SyscallCx<'_>, fds: Address) -> SyscallResult {
    pipe(cx, fds, OpenFlags::empty())
}

/// Handles `pipe2(fds, flags)`. `O_NOTIFICATION_PIPE` is refused, as by a kernel without watch queues.
pub(super) fn sys_pipe2(cx: &mut SyscallCx<'_>, fds: Address, raw_flags: Int) -> SyscallResult {
    let flags = OpenFlags::from_bits_retain(raw_flags.cast_unsigned());
    if !FLAGS.contains(flags) {
        return Err(fail(errno::EINVAL, "unknown `flags`"));
    }
    pipe(cx, fds, flags)
}

fn pipe(cx: &mut SyscallCx<'_>, fds: Address, flags: OpenFlags) -> SyscallResult {
    let (reader, writer) = anon::open_pipe(cx, flags & !OpenFlags::CLOSE_ON_EXEC);
    anon::install_pair(cx, [reader, writer], fds, flags)
}
