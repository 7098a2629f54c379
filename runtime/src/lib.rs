//! The cloister runtime: bundles, container state, and the launch of sandboxes.

pub mod bundle;
pub mod cgroup;
pub mod container;
pub mod foreground;
pub mod hooks;
pub mod host;
pub mod install;
pub mod launch;
pub mod sandbox;
pub mod state;
