//! The cloister runtime: bundles, container state, and the launch of sandboxes.

pub mod bundle;
pub mod hooks;
pub mod launch;
pub mod sandbox;
pub mod state;
