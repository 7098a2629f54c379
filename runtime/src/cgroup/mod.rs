//! The host's control groups: all processes of a sandbox are in one, from their first instruction, with the limits of
//! `linux.resources`.
//!
//! | file | subject |
//! |---|---|
//! | `hierarchy` | what is mounted: version 2 alone, or hierarchies of version 1 |
//! | `path` | what `linux.cgroupsPath` means |
//! | `setting` | `linux.resources` as files and what is written to them |
//! | `group` | one group: making, limiting, joining, removing it |
//! | `stats` | what a group tells of its processes |
//!
//! Source of behaviour: the runtime specification, `config-linux.md`, "Control groups"; the host kernel's
//! `Documentation/admin-guide/cgroup-v2.rst` and `cgroup-v1/`; where these are silent, `runc`.
//!
//! Device rules have no effect, since a sandbox has no device of the host; nor have limits of huge pages, block devices,
//! network classes and RDMA.

mod error;
mod group;
mod hierarchy;
mod oom;
mod path;
mod setting;
mod stats;

pub use error::CgroupError;
pub use group::{Group, Membership};
pub use hierarchy::{Hierarchies, Version};
pub use oom::OomWatch;
pub use setting::{has_limits, merge};
pub use stats::{Cpu, Memory, MemoryEntry, Stats, Throttling};

/// How a sandbox's group is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// As the configuration says.
    Configured,
    /// As the configuration says, in the form `SLICE:PREFIX:NAME` of callers that run systemd.
    Systemd,
    /// None: the sandbox stays in its starter's.
    Ignored,
}
