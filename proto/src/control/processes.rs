//! `Processes`: the list of a container's processes.

use crate::ByteString;
use crate::codec::{Decode, Encode};

/// Lists a container's processes. Errors: `NotFound`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Processes {
    /// The container's id.
    pub id: String,
}

/// Reply to [`Processes`], ordered by process id.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ProcessesReply {
    /// The processes.
    pub processes: Vec<Process>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Process {
    /// Process id as the container's PID namespace numbers it.
    pub pid: i32,
    /// The parent's id; 0 for the first process.
    pub ppid: i32,
    /// Real user id.
    pub uid: u32,
    /// State letter as in `/proc/PID/stat`.
    pub state: u8,
    /// CPU time used, in nanoseconds.
    pub cpu_time: u64,
    /// Start, in nanoseconds of the wall clock since 1970.
    pub start_time: u64,
    /// Number of threads.
    pub threads: u32,
    /// Name, at most 15 bytes.
    pub name: ByteString,
    /// Command line, or its beginning; the name in brackets if it has none.
    pub command: Vec<ByteString>,
}
