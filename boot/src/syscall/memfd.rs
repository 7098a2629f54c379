//! `memfd_create(2)`.

use super::{Text, UInt, paths};
use crate::error::{SyscallResult, fail};
use crate::fs::tmpfs::Seals;
use crate::fs::{OpenFlags, Walker, open};
use crate::prelude::{SyscallCx, errno, uapi};

/// The longest name: what `/proc/PID/fd` tells has a prefix, and is no longer than any name.
const NAME_MAX: usize = 249;

/// Handles `memfd_create(name, flags)`. Huge pages are refused.
pub(super) fn sys_memfd_create(cx: &mut SyscallCx<'_>, name: Text, flags: UInt) -> SyscallResult {
    let (exec, no_exec) = (uapi::MFD_EXEC, uapi::MFD_NOEXEC_SEAL);
    paths::check_flags(flags, uapi::MFD_CLOEXEC | uapi::MFD_ALLOW_SEALING | exec | no_exec)?;
    if flags & (exec | no_exec) == exec | no_exec {
        return Err(fail(errno::EINVAL, "MFD_EXEC with MFD_NOEXEC_SEAL"));
    }
    let name = match cx.memory().read_string(name.0.0, NAME_MAX + 1) {
        Err(failure) if failure.is(errno::ENAMETOOLONG) => {
            return Err(fail(errno::EINVAL, "`name` is too long"));
        }
        other => other?,
    };
    let (permissions, seals) = if flags & no_exec != 0 {
        (0o666, Seals::EXEC)
    } else if flags & uapi::MFD_ALLOW_SEALING != 0 {
        (0o777, Seals::empty())
    } else {
        (0o777, Seals::SEAL)
    };
    let path = cx.kernel().vfs.memfds.create(&name, permissions, seals, &cx.credentials());
    let walker = Walker::new(cx.task);
    let file = open::open_path(cx, &walker, path, OpenFlags::READ_WRITE | OpenFlags::LARGE_FILE)?;
    Ok(cx.install(file, flags & uapi::MFD_CLOEXEC != 0)?.into())
}
