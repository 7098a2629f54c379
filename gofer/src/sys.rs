//! What neither `rustix` nor `nix` has a safe function for.
#![expect(unsafe_code, reason = "a raw system call, and the adoption of descriptors named by number")]

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

use crate::Result;

/// Changes the permission bits of what a path descriptor stands for (`fchmodat2(2)` with `AT_EMPTY_PATH`).
///
/// # Errors
///
/// `ENOSYS` before Linux 6.6; `EOPNOTSUPP` for symbolic links.
pub(crate) fn chmod(path_fd: BorrowedFd<'_>, mode: u32) -> Result<()> {
    // SAFETY: the path is a constant with its ending zero, and the kernel writes no memory of ours.
    let result = unsafe {
        libc::syscall(libc::SYS_fchmodat2, path_fd.as_raw_fd(), c"".as_ptr(), mode, libc::AT_EMPTY_PATH)
    };
    if result == 0 { Ok(()) } else { Err(last_error()) }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Takes over the descriptor that the parent process left at `number`.
///
/// # Errors
///
/// `EBADF` if there is none. `EINVAL` for the standard descriptors, which others have.
pub(crate) fn adopt(number: RawFd) -> Result<OwnedFd> {
    if number <= libc::STDERR_FILENO {
        return Err(Errno::INVAL);
    }
    // SAFETY: `F_GETFD` only reads a flag, whatever the number.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(last_error());
    }
    // SAFETY: it is open, and at start-up no other part of this program has opened or adopted it: the caller refuses
    // to adopt a number twice.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
