//! The user-space kernel of a Cloister sandbox.
//!
//! The map of the kernel:
//!
//! | module | subject |
//! |---|---|
//! | `kernel` | what all tasks share: run queue, timers, host descriptors |
//! | `syscall` | the system call table, and a file for each family of handlers |
//! | `task` | tasks, thread groups, credentials, the process tree |
//! | `signal` | signals |
//! | `loader` | programs: from a file to an address space |
//! | `mm` | address spaces, and access to guest memory |
//! | `fs` | the virtual file system and the file systems below it |
//! | `net` | sockets |
//! | `ipc` | System V shared memory, semaphores and message queues |
//! | `event` | readiness and wait queues |
//! | `time` | clocks |
//! | `tty` | terminals |
//! | `seccomp` | system call filters of guests |
//! | `security` | what the process denies itself |
//! | `control` | the control server, and the containers |
//! | `snapshot` | the whole kernel to files, and back |

mod cli;
mod context;
mod control;
mod error;
mod event;
mod fs;
mod ipc;
mod kernel;
mod loader;
mod log;
mod mm;
mod net;
mod prelude;
mod rand;
mod seccomp;
mod security;
mod signal;
mod snapshot;
mod syscall;
mod task;
#[cfg(test)]
mod testing;
mod time;
mod tty;

/// Runs `cloister-boot`.
pub fn main() -> std::process::ExitCode {
    cli::run()
}
