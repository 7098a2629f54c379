//! `Strace`, `Stacks` and `Statistics`: looking into the kernel.

use crate::codec::{Decode, Encode};

/// Turns the kernel's system call trace, which goes to its log, on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Strace {
    /// Whether calls are traced from now on.
    pub on: bool,
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

/// Tells what the sandbox uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Statistics;

/// Reply to [`Statistics`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct StatisticsReply {
    /// Tasks (threads) that exist.
    pub tasks: u64,
    /// CPU time of the sandbox's programs in user mode, in nanoseconds.
    pub user_time: u64,
    /// CPU time of the kernel on their behalf, in nanoseconds.
    pub system_time: u64,
    /// Memory of programs and files in memory, in bytes.
    pub memory: u64,
    /// System calls handled.
    pub syscalls: u64,
}
