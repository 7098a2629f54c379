//! Time: the sandbox's clocks.

mod clock;
mod clock_id;
mod convert;

pub(crate) use clock::{Clock, Instant};
pub(crate) use clock_id::ClockId;
pub(crate) use convert::{duration, duration_of_timeval, timespec, timeval};
