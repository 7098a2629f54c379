//! The clocks of the sandbox.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A point on the sandbox's monotonic clock: nanoseconds since an arbitrary start, kept over a restore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Instant(u64);

impl Instant {
    /// Returns the nanoseconds since the clock's start.
    pub(crate) const fn as_ns(self) -> u64 {
        self.0
    }

    /// Returns the point `after` later, or the last one there is.
    pub(crate) fn saturating_add(self, after: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Returns how much later this is than `earlier`; nothing if it is not.
    pub(crate) fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The clocks of the sandbox: the host's, moved by offsets that are nonzero only after a restore.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    monotonic_offset_ns: i64,
}

impl Clock {
    /// Returns clocks that show the host's time.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Returns the time of `CLOCK_MONOTONIC`.
    pub(crate) fn monotonic(&self) -> Instant {
        Instant(self.host_ns(ClockId::Monotonic).saturating_add_signed(self.monotonic_offset_ns))
    }

    /// Returns the time since 1970 of `CLOCK_REALTIME`.
    pub(crate) fn realtime(&self) -> Duration {
        Duration::from_nanos(self.host_ns(ClockId::Realtime))
    }

    /// Returns the time since the sandbox's clock started, sleep of the machine included: `CLOCK_BOOTTIME`.
    pub(crate) fn boottime(&self) -> Duration {
        Duration::from_nanos(self.host_ns(ClockId::Boottime).saturating_add_signed(self.monotonic_offset_ns))
    }

    fn host_ns(&self, id: ClockId) -> u64 {
        let now = clock_gettime(id);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or(0);
        seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
    }
}
