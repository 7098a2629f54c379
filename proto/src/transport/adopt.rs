//! Descriptors that a program is started with, by their numbers.

#![expect(unsafe_code, reason = "a number becomes an owned descriptor")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// Takes over the descriptor `number` that this program was started with (`--control-fd 3`, say) and marks it as closed on
/// exec. Each number can be taken over once.
///
/// # Errors
///
/// `EBADF` if it is not open, is one of the standard three, or was taken over before.
pub fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    static ADOPTED: AtomicU64 = AtomicU64::new(0b111);
    let refused = || io::Error::from_raw_os_error(rustix::io::Errno::BADF.raw_os_error());
    let bit = u32::try_from(number).ok().and_then(|number| 1_u64.checked_shl(number)).ok_or_else(refused)?;
    if ADOPTED.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
        return Err(refused());
    }
    // SAFETY: F_GETFD looks at a number, whatever it is, and changes nothing.
    if unsafe { rustix::io::fcntl_getfd(rustix::fd::BorrowedFd::borrow_raw(number)) }.is_err() {
        return Err(refused());
    }
    // SAFETY: it is open, and the caller's word is that it was inherited for this purpose; no other owner of this crate's
    // making exists, since the number is taken over only once.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
    Ok(fd)
}
