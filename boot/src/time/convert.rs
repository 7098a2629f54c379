//! Between the guest's structures and durations.

use std::time::Duration;

use cloister_abi::time::{Timespec, Timeval};

use crate::error::{Fail, fail};
use crate::prelude::errno;

/// Returns the duration that the guest asks for.
///
/// # Errors
///
/// `EINVAL` if it is negative, or its nanoseconds are a second or more.
pub(crate) fn duration(time: Timespec) -> Result<Duration, Fail> {
    match (u64::try_from(time.sec), u32::try_from(time.nsec)) {
        (Ok(seconds), Ok(nanoseconds @ 0..1_000_000_000)) => Ok(Duration::new(seconds, nanoseconds)),
        _ => Err(fail(errno::EINVAL, "not a time")),
    }
}

/// Returns the duration that the guest asks for in microseconds.
///
/// # Errors
///
/// `EINVAL` if it is negative, or its microseconds are a second or more.
pub(crate) fn duration_of_timeval(time: Timeval) -> Result<Duration, Fail> {
    match (u64::try_from(time.sec), u32::try_from(time.usec)) {
        (Ok(seconds), Ok(microseconds @ 0..1_000_000)) => Ok(Duration::new(seconds, microseconds * 1000)),
        _ => Err(fail(errno::EINVAL, "not a time")),
    }
}

/// Returns `time` in the guest's form.
pub(crate) fn timespec(time: Duration) -> Timespec {
    Timespec { sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX), nsec: i64::from(time.subsec_nanos()) }
}

/// Returns `time` in the guest's form, in microseconds.
pub(crate) fn timeval(time: Duration) -> Timeval {
    Timeval { sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX), usec: i64::from(time.subsec_micros()) }
}

/// Clock ticks in a second, as the guest sees them (`sysconf(3)`, `_SC_CLK_TCK`).
pub(crate) const TICKS_PER_SECOND: u64 = 100;

/// Returns `time` in clock ticks, as `times(2)`, `SIGCHLD` and `/proc` tell it.
pub(crate) fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX) / (1000 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_times_are_refused() {
        for (sec, nsec) in [(-1, 0), (0, -1), (0, 1_000_000_000), (i64::MIN, i64::MAX)] {
            assert!(duration(Timespec { sec, nsec }).is_err_and(|failure| failure.is(errno::EINVAL)));
        }
        duration_of_timeval(Timeval { sec: 0, usec: 1_000_000 }).expect_err("a second is too much");
        let time = Timespec { sec: i64::MAX, nsec: 999_999_999 };
        assert_eq!(timespec(duration(time).unwrap()), time);
        assert_eq!(timeval(Duration::new(3, 4_999)), Timeval { sec: 3, usec: 4 });
        assert_eq!(ticks(Duration::from_millis(1_239)), 123);
    }
}
