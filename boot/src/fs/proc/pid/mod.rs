//! `/proc/PID` and `/proc/PID/task/TID` (`proc_pid(5)`).

mod cgroup;
mod cmdline;
mod comm;
mod directory;
mod environ;
mod fd;
mod limits;
mod links;
mod maps;
mod mounts;
mod net;
mod stat;
mod status;
mod subject;
mod task;
mod values;

pub(crate) use cmdline::command_line;
pub(super) use directory::{inode, parse, process};
pub(super) use subject::Subject;
