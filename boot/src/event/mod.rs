//! Readiness: what can be waited for, and who is told.

mod events;
mod wait_queue;

pub(crate) use events::Events;
pub(crate) use wait_queue::{Registration, WaitQueue, Wake};
