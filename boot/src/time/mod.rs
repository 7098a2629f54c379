//! Time: the sandbox's clocks.

mod clock;
mod convert;

pub(crate) use clock::{Clock, Instant};
pub(crate) use convert::{duration, duration_of_timeval, timespec, timeval};
