//! The control server, and the containers that it manages.
//!
//! | file | subject |
//! |---|---|
//! | `server`, `connection` | the socket, the handshake, requests and replies |
//! | `containers`, `container` | the containers of the sandbox, and the life of one |
//! | `create`, `namespaces`, `mounts`, `file_server` | making a container, and what it consists of |
//! | `start`, `execute`, `process` | its first process, and others |
//! | `seccomp` | the system call filter of its configuration |
//! | `terminal_signals` | what the keys of the container's terminal send |
//! | `timeline` | when which step of the start was done |
//! | `keep` | outliving who started it |
//! | `freeze` | standing still and going on |
//! | `checkpoint` | going to disk and coming back |
//! | `signal`, `processes`, `read_file`, `debug` | what else is asked for |

mod checkpoint;
mod connection;
mod container;
mod containers;
mod create;
mod debug;
mod execute;
mod file_server;
mod freeze;
mod keep;
mod mounts;
mod namespaces;
mod process;
mod processes;
mod read_file;
mod seccomp;
mod server;
mod signal;
mod start;
mod terminal_signals;
pub(crate) mod timeline;

pub(crate) use container::Container;
pub(crate) use containers::Containers;
pub(crate) use freeze::Freezer;
pub(crate) use server::ControlServer;
pub(crate) use terminal_signals::TerminalSignals;
