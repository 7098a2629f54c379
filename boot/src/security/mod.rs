//! What boot denies itself.
//!
//! The application cannot reach the host's kernel but through this process, so this process is assumed to fall one
//! day. Then its namespaces, its empty root, its lack of capabilities (all set up by the runtime before it starts)
//! and the [`filter`] remain.

pub(crate) mod filter;
