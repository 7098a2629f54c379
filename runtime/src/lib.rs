//! The cloister runtime: bundles, container state, and the launch of sandboxes.

pub mod bundle;
pub mod launch;
