//! The cloister runtime: bundles, container state, the launch of sandboxes, and a client library.

pub mod bundle;
pub mod cgroup;
pub mod client;
pub mod container;
pub mod foreground;
pub mod hooks;
pub mod host;
pub mod install;
pub mod launch;
pub mod manager;
pub mod sandbox;
pub mod snapshot;
pub mod state;
mod streams;
pub mod template;
pub mod timeline;
