//! The resource limits that bound an address space (`getrlimit(2)`).

use serde::{Deserialize, Serialize};

use crate::task::{Capabilities, Credentials, Resource, Rlimits};

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

impl MemoryLimits {
    /// Returns what the limits of a process say to one who has these credentials.
    pub(crate) fn new(limits: &Rlimits, credentials: &Credentials) -> Self {
        let soft = |resource| limits.get(resource).soft;
        let may_lock_all = credentials.has(Capabilities::IPC_LOCK);
        Self {
            address_space: soft(Resource::AddressSpace),
            data: soft(Resource::Data),
            stack: soft(Resource::Stack),
            locked: if may_lock_all { u64::MAX } else { soft(Resource::Locked) },
        }
    }
}

impl Default for MemoryLimits {
    /// The limits that Linux starts its first process with.
    fn default() -> Self {
        Self::new(&Rlimits::default(), &Credentials::default())
    }
}
