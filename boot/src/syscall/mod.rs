//! System calls: the table, the dispatcher, and a file for each family of handlers.
//!
//! [`table_x86_64`] is the one source of what is supported: dispatch, the strace, `cloister syscalls` and the
//! documentation's compatibility page all read it. To find the handler of a call, look its number up there.

mod arch_prctl;
mod argument;
mod attributes;
mod capability;
mod clock;
mod clone;
mod close;
mod credentials;
mod cwd;
mod dispatch;
mod epoll;
mod eventfd;
mod execve;
mod exit;
mod extensible;
mod fcntl;
mod futex;
mod getdents;
mod ids;
mod inotify;
mod ioctl;
mod list;
mod madvise;
mod memfd;
mod message_header;
mod mmap;
mod mount;
mod names;
mod offsets;
mod open;
mod paths;
mod pidfd;
mod pipe;
mod poll;
mod prctl;
mod priority;
mod process_memory;
mod read;
mod receive;
mod record_lock;
mod rlimit;
mod rusage;
mod rw_flags;
mod schedule;
mod seek;
mod select;
mod send;
mod sendfile;
mod signal_send;
mod signal_state;
mod signal_wait;
mod signalfd;
mod sleep;
mod socket;
mod socket_option;
mod splice;
mod stat;
mod state;
mod strace;
mod sync;
mod system;
mod table;
mod table_x86_64;
mod timer;
mod timerfd;
mod truncate;
mod uname;
mod unimplemented;
mod wait;
mod write;
mod xattr;

#[cfg(test)]
mod file_tests;

pub(crate) use argument::{Address, Argument, Fd, Format, Int, Long, PathPtr, Size, Text, UInt, ULong};
pub(crate) use dispatch::{Call, Progress, enter, proceed};
pub(crate) use list::{ListFormat, write_list};
pub(crate) use state::SyscallState;
pub(crate) use strace::Strace;
pub(crate) use table::{Row, Support};
pub(crate) use table_x86_64::{TABLE, lookup};
pub(crate) use unimplemented::UnimplementedLog;
