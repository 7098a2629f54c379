//! Tasks and what they share: thread groups, credentials, the process tree.

mod credentials;
mod exit;
mod process_tree;
mod run;
mod schedule;
mod task;
mod thread_group;

pub(crate) use credentials::{Capabilities, Credentials};
pub(crate) use exit::{exit_group, exit_task};
pub(crate) use process_tree::{ExitStatus, PID_MAX, Pid, Process, ProcessTree, Tree};
pub(crate) use run::TaskRun;
pub(crate) use task::{Task, TaskParts};
pub(crate) use thread_group::{GroupState, ThreadGroup};
