//! Time-outs and signal masks as the calls that wait for files take them.

use std::time::Duration;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::context::SyscallCx;
use crate::error::{Fail, fail};
use crate::prelude::errno;
use crate::signal::SignalSet;
use crate::syscall::Address;
use crate::time::Instant;

/// `struct timespec`, or `struct timeval` with microseconds.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct RawTime {
    seconds: i64,
    fraction: i64,
}

/// The unit of the second half of a time in guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeUnit {
    /// `struct timespec`.
    Nanoseconds,
    /// `struct timeval`.
    Microseconds,
}

impl TimeUnit {
    fn in_ns(self) -> u32 {
        match self {
            Self::Nanoseconds => 1,
            Self::Microseconds => 1000,
        }
    }

    /// Reads a time-out; `None` for the null pointer.
    ///
    /// # Errors
    ///
    /// `EFAULT`, and `EINVAL` if it is negative or its fraction is a second or more. (As Linux does, microseconds may be
    /// more.)
    pub(crate) fn read(self, cx: &SyscallCx<'_>, address: Address) -> Result<Option<Duration>, Fail> {
        if address.is_null() {
            return Ok(None);
        }
        let raw: RawTime = cx.memory().read(address)?;
        let invalid = fail(errno::EINVAL, "not a valid time-out");
        let (Ok(seconds), Ok(fraction)) = (u64::try_from(raw.seconds), u64::try_from(raw.fraction)) else {
            return Err(invalid);
        };
        let timeout = match self {
            Self::Nanoseconds if fraction >= 1_000_000_000 => return Err(invalid),
            Self::Nanoseconds => Duration::from_nanos(fraction),
            Self::Microseconds => Duration::from_micros(fraction),
        };
        Ok(Some(timeout.saturating_add(Duration::from_secs(seconds))))
    }

    /// Writes how long it still is until `deadline`, as `select` and `ppoll` do when they end. As in Linux it is no
    /// failure if it can't be written.
    pub(crate) fn write_rest(self, cx: &SyscallCx<'_>, address: Address, deadline: Option<Instant>) {
        let Some(deadline) = deadline.filter(|_| !address.is_null()) else { return };
        let rest = deadline.saturating_duration_since(cx.kernel().clock.monotonic());
        let raw = RawTime {
            seconds: i64::try_from(rest.as_secs()).unwrap_or(i64::MAX),
            fraction: i64::from(rest.subsec_nanos() / self.in_ns()),
        };
        let _ = cx.memory().write(address, &raw);
    }
}

/// Exchanges the signal mask for the time of the call, if there is one at `address`.
///
/// # Errors
///
/// `EINVAL` if `size` is not that of a signal set, `EFAULT`.
pub(crate) fn set_signal_mask(cx: &mut SyscallCx<'_>, address: Address, size: usize) -> Result<(), Fail> {
    if address.is_null() {
        return Ok(());
    }
    if size != size_of::<u64>() {
        return Err(fail(errno::EINVAL, "`sigsetsize` is not that of a signal set"));
    }
    let mask = SignalSet(cx.memory().read(address)?);
    cx.set_temporary_mask(mask);
    Ok(())
}
