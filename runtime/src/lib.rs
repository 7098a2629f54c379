//! The cloister runtime: bundles, container state, and the launch of sandboxes.

pub mod launch;
