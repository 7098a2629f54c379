//! The resource limits that bound an address space (`getrlimit(2)`).

use serde::{Deserialize, Serialize};

/// The resource limits that bound an address space, in bytes; `u64::MAX` for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemoryLimits {
    /// All mappings (`RLIMIT_AS`).
    pub(crate) address_space: u64,
    /// Private writable memory (`RLIMIT_DATA`).
    pub(crate) data: u64,
    /// A stack (`RLIMIT_STACK`).
    pub(crate) stack: u64,
    /// Locked memory (`RLIMIT_MEMLOCK`); no limit for a task with `CAP_IPC_LOCK`.
    pub(crate) locked: u64,
}

impl Default for MemoryLimits {
    /// The limits that Linux starts its first process with.
    fn default() -> Self {
        Self { address_space: u64::MAX, data: u64::MAX, stack: 8 << 20, locked: 8 << 20 }
    }
}
