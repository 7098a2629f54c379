//! `Strace`, `SetLog`, `Stacks` and `Statistics`: looking into the kernel.

use crate::codec::{Decode, Encode};

/// Says which system calls the kernel's trace, which goes to its log, tells of from now on. Errors: `InvalidArgument`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Strace {
    /// `all`, `none`, or the calls' names with commas between them.
    pub calls: String,
}

/// Says what the kernel's log tells of from now on. Errors: `InvalidArgument`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetLog {
    /// A level, or directives such as `info,cloister_boot::fs=debug`.
    pub filter: String,
}

/// Tells what every task of the sandbox is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Stacks;

/// Reply to [`Stacks`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StacksReply {
    /// A paragraph for each task, for people.
    pub text: String,
}

/// Tells what a container uses. Errors: `NotFound`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Statistics {
    /// The container's id.
    pub id: String,
}

/// Reply to [`Statistics`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct StatisticsReply {
    /// Tasks (threads) that exist.
    pub tasks: u64,
    /// CPU time of its programs in user mode, in nanoseconds, those that have ended included.
    pub user_time: u64,
    /// CPU time of the host's kernel on their behalf, in nanoseconds.
    pub system_time: u64,
    /// The processes that hold its programs' memory, as the kernel's PID namespace on the host numbers them.
    pub memory_holders: Vec<i32>,
    /// System calls handled for the whole sandbox.
    pub syscalls: u64,
}
