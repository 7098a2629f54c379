//! What Cloister costs beside native Linux, `crun` and gVisor, measured interleaved in one run on one machine.
//!
//! Ratios are what counts: every round runs each place once, so that whatever else the machine does meets all alike.
//! Start-up is `run` of a bundle from the call to its end: create, start, wait and delete.

mod copies;
mod idle;
mod lifecycle;
mod measure;
mod plot;
mod report;
mod rows;
mod scripts;

pub use measure::{Options, measure};
pub use plot::svg;
pub use report::{Report, Row, Unit};
pub use rows::{Copies, GROUPS, Goal, Group, Idle, Measure, RowPlan, Step, select};

/// Takes a sample of the named row.
type Add<'a> = &'a mut dyn FnMut(&str, f64);
