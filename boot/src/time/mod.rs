//! Time: the sandbox's clocks.

mod clock;

pub(crate) use clock::{Clock, Instant};
