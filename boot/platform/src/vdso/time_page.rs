//! What the vDSO's code needs to know of the host.

use std::mem::offset_of;

use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Where the page is in every address space. It is part of what a checkpoint holds, as the code of the image is.
pub const TIME_PAGE: u64 = 0x7fff_f000_0000;

/// The contents of the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct TimePage {
    /// The address of the host's `__vdso_clock_gettime`, or 0: each function makes the system call.
    pub clock_gettime: u64,
    /// `__vdso_gettimeofday`, or 0.
    pub gettimeofday: u64,
    /// `__vdso_time`, or 0.
    pub time: u64,
    /// `__vdso_clock_getres`, or 0.
    pub clock_getres: u64,
    /// `__vdso_getcpu`, or 0.
    pub getcpu: u64,
    /// What to add to the monotonic clocks.
    pub monotonic: Offset,
    /// What to add to the clock that runs through suspensions.
    pub boottime: Offset,
}

/// A signed time with nanoseconds in 0..1,000,000,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Offset {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// The rest.
    pub nanoseconds: i64,
}

/// What a sandbox adds to the host's clocks, so that they go on after it was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockOffsets {
    /// For `CLOCK_MONOTONIC`, `CLOCK_MONOTONIC_RAW` and `CLOCK_MONOTONIC_COARSE`, in nanoseconds.
    pub monotonic_ns: i64,
    /// For `CLOCK_BOOTTIME`, in nanoseconds.
    pub boottime_ns: i64,
}

impl TimePage {
    /// Sets what is added to the host's clocks.
    pub fn set_offsets(&mut self, offsets: ClockOffsets) {
        self.monotonic = Offset::from_ns(offsets.monotonic_ns);
        self.boottime = Offset::from_ns(offsets.boottime_ns);
    }
}

impl Offset {
    /// Where the fields are, for the code.
    pub(super) const NANOSECONDS: usize = offset_of!(Self, nanoseconds);

    /// Returns `nanoseconds` in this form.
    pub fn from_ns(nanoseconds: i64) -> Self {
        const SECOND: i64 = 1_000_000_000;
        Self { seconds: nanoseconds.div_euclid(SECOND), nanoseconds: nanoseconds.rem_euclid(SECOND) }
    }
}
