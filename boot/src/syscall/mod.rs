//! System calls: the table, the dispatcher, and a file for each family of handlers.
//!
//! [`table_x86_64`] is the one source of what is supported: dispatch, the strace, `cloister syscalls` and the
//! documentation's compatibility page all read it. To find the handler of a call, look its number up there.

mod arch_prctl;
mod argument;
mod capability;
mod clone;
mod credentials;
mod dispatch;
mod epoll;
mod eventfd;
mod execve;
mod exit;
mod ids;
mod list;
mod madvise;
mod mmap;
mod pipe;
mod poll;
mod prctl;
mod priority;
mod rlimit;
mod rusage;
mod schedule;
mod select;
mod signal_send;
mod signal_state;
mod signal_wait;
mod state;
mod strace;
mod system;
mod table;
mod table_x86_64;
mod uname;
mod unimplemented;
mod wait;

pub(crate) use argument::{Address, Argument, Fd, Format, Int, Long, PathPtr, Size, Text, UInt, ULong};
pub(crate) use dispatch::{Call, Progress, enter, proceed};
pub(crate) use list::{ListFormat, write_list};
pub(crate) use state::SyscallState;
pub(crate) use strace::Strace;
pub(crate) use table::{Row, Support};
pub(crate) use table_x86_64::{TABLE, lookup};
pub(crate) use unimplemented::UnimplementedLog;
