//! Times as the standard's attribute messages have them.

use crate::attr::Time;
use crate::codec::struct_field;

/// A point in time, with both parts 64 bits wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Time64 {
    /// Seconds since the epoch, two's complement if before it.
    pub sec: u64,
    /// Nanoseconds of the second.
    pub nsec: u64,
}
struct_field!(Time64 { sec, nsec });

impl From<Time> for Time64 {
    fn from(time: Time) -> Self {
        Self { sec: time.sec.cast_unsigned(), nsec: u64::from(time.nsec) }
    }
}

impl From<Time64> for Time {
    /// Nanoseconds that do not fit, which no valid time has, become 0.
    fn from(time: Time64) -> Self {
        Self { sec: time.sec.cast_signed(), nsec: u32::try_from(time.nsec).unwrap_or(0) }
    }
}
