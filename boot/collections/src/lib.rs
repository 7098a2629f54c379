//! Collections of the kernel that know nothing of it, each with property tests against a naive model.

mod segment_map;

pub use segment_map::{Segment, SegmentMap};
