//! The clocks of the sandbox.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use cloister_platform::vdso::ClockOffsets;
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
    monotonic_offset_ns: AtomicI64,
    boottime_offset_ns: AtomicI64,
}

/// The saved form of a [`Clock`]: what it showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClockImage {
    monotonic_ns: u64,
    boottime_ns: u64,
}

impl Clock {
    /// Returns clocks that show the host's time.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Returns the time of `CLOCK_MONOTONIC`.
    pub(crate) fn monotonic(&self) -> Instant {
        let offset = self.monotonic_offset_ns.load(Ordering::Relaxed);
        Instant(self.host_ns(ClockId::Monotonic).saturating_add_signed(offset))
    }

    /// Returns the saved form.
    pub(crate) fn to_image(&self) -> ClockImage {
        let boottime_ns = u64::try_from(self.boottime().as_nanos()).unwrap_or(u64::MAX);
        ClockImage { monotonic_ns: self.monotonic().as_ns(), boottime_ns }
    }

    /// Lets the clocks go on from what they showed when they were saved. Returns what that adds to the host's.
    pub(crate) fn restore(&self, image: ClockImage) -> ClockOffsets {
        let offset = |shown: u64, id| {
            let difference = i128::from(shown) - i128::from(self.host_ns(id));
            i64::try_from(difference).unwrap_or(0)
        };
        let monotonic_ns = offset(image.monotonic_ns, ClockId::Monotonic);
        let boottime_ns = offset(image.boottime_ns, ClockId::Boottime);
        self.monotonic_offset_ns.store(monotonic_ns, Ordering::Relaxed);
        self.boottime_offset_ns.store(boottime_ns, Ordering::Relaxed);
        ClockOffsets { monotonic_ns, boottime_ns }
    }

    /// Returns the time since 1970 of `CLOCK_REALTIME`.
    pub(crate) fn realtime(&self) -> Duration {
        Duration::from_nanos(self.host_ns(ClockId::Realtime))
    }

    /// Returns the time since the sandbox's clock started, sleep of the machine included: `CLOCK_BOOTTIME`.
    pub(crate) fn boottime(&self) -> Duration {
        let offset = self.boottime_offset_ns.load(Ordering::Relaxed);
        Duration::from_nanos(self.host_ns(ClockId::Boottime).saturating_add_signed(offset))
    }

    fn host_ns(&self, id: ClockId) -> u64 {
        let now = clock_gettime(id);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or(0);
        seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
    }
}
