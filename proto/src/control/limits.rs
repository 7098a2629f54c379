//! `SetLimits`: other limits for a container that runs.

use crate::codec::{Decode, Encode};

/// Changes the limits that the kernel itself enforces; the host's control groups are the runtime's affair. Errors: `NotFound`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetLimits {
    /// The container's id.
    pub id: String,
    /// Most tasks at a time; `None` is without a limit. Tasks above it live on.
    pub pids: Option<u64>,
}
