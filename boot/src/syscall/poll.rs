//! `poll(2)`, `ppoll(2)`.

use std::time::Duration;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Address, Fd, Int, Size, UInt};
use crate::error::{Fail, Restart, SyscallResult, fail};
use crate::event::{self, Events, Look, TimeUnit};
use crate::prelude::{SyscallCx, errno};
use crate::time::Instant;

/// `struct pollfd`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct PollFd {
    fd: i32,
    events: u16,
    revents: u16,
}

/// Handles `poll(fds, nfds, timeout)`: `timeout` is in milliseconds, negative for none.
pub(super) fn sys_poll(cx: &mut SyscallCx<'_>, fds: Address, count: UInt, timeout: Int) -> SyscallResult {
    let timeout = u64::try_from(timeout).ok().map(Duration::from_millis);
    let deadline = cx.deadline(timeout);
    Ok(poll(cx, fds, count, deadline, Restart::Block)?.into())
}

/// Handles `ppoll(fds, nfds, tmo_p, sigmask, sigsetsize)`. As in Linux `tmo_p` is left with the rest of the time, which
/// the C library hides from its callers.
pub(super) fn sys_ppoll(
    cx: &mut SyscallCx<'_>,
    fds: Address,
    count: UInt,
    timeout: Address,
    mask: Address,
    mask_size: Size,
) -> SyscallResult {
    let limit = TimeUnit::Nanoseconds.read(cx, timeout)?;
    event::set_signal_mask(cx, mask, mask_size)?;
    let deadline = cx.deadline(limit);
    let result = poll(cx, fds, count, deadline, Restart::NoHand);
    if !matches!(result, Err(Fail::Park(_))) {
        TimeUnit::Nanoseconds.write_rest(cx, timeout, deadline);
    }
    Ok(result?.into())
}

fn poll(
    cx: &mut SyscallCx<'_>,
    fds: Address,
    count: u32,
    deadline: Option<Instant>,
    restart: Restart,
) -> Result<usize, Fail> {
    if u64::from(count) > cx.open_files_limit() {
        return Err(fail(errno::EINVAL, "`nfds` is more than RLIMIT_NOFILE"));
    }
    let mut entries = cx.memory().read_array::<PollFd>(fds, count as usize)?;
    let ready = event::wait_for_any(cx, deadline, restart, |cx, look| {
        for entry in &mut entries {
            entry.revents = conditions(cx, look, entry);
        }
        Ok(entries.iter().filter(|entry| entry.revents != 0).count())
    })?;
    cx.memory().write_bytes(fds, entries.as_slice().as_bytes())?;
    Ok(ready)
}

/// Returns the conditions that an entry reports; a negative descriptor is left out.
fn conditions(cx: &mut SyscallCx<'_>, look: Look, entry: &PollFd) -> u16 {
    if entry.fd < 0 {
        return 0;
    }
    let mask = Events::from_bits_truncate(u32::from(entry.events));
    let events = match cx.file(Fd(entry.fd)) {
        Ok(file) => look.at(cx, &file, mask),
        Err(_) => Events::NVAL,
    };
    u16::try_from(events.bits()).unwrap_or(0)
}
