//! Times: `linux/time_types.h`, `linux/time.h`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct timespec`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Timespec {
    /// Seconds.
    pub sec: i64,
    /// Nanoseconds, below 10⁹.
    pub nsec: i64,
}

/// `struct timeval`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Timeval {
    /// Seconds.
    pub sec: i64,
    /// Microseconds, below 10⁶.
    pub usec: i64,
}

/// `struct itimerspec`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Itimerspec {
    /// The time from one expiration to the next; zero for just one.
    pub interval: Timespec,
    /// The time to the first expiration; zero for none.
    pub value: Timespec,
}

/// `struct itimerval`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Itimerval {
    /// The time from one expiration to the next; zero for just one.
    pub interval: Timeval,
    /// The time to the first expiration; zero for none.
    pub value: Timeval,
}
