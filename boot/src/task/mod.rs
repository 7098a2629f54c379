//! Tasks and what they share: thread groups, credentials, the process tree.

mod attributes;
mod clone;
mod credentials;
mod exec;
mod exit;
pub(crate) mod futex;
#[cfg_attr(not(test), expect(dead_code, reason = "for checkpoints, which no command makes yet"))]
mod image;
mod pid;
mod pidfd;
#[cfg_attr(not(test), expect(dead_code, reason = "for checkpoints, which no command makes yet"))]
mod process_image;
mod process_tree;
mod rlimit;
mod run;
mod schedule;
mod scheduling;
mod set_id;
mod task;
mod task_set;
mod thread_group;
mod uts;
mod vfork;
mod wait;

pub(crate) use attributes::{DEFAULT_TIMER_SLACK_NS, TaskAttributes};
pub(crate) use clone::{CloneArguments, CloneFlags, clone_task};
pub(crate) use credentials::{Capabilities, Credentials};
pub(crate) use exec::{execute, start_program};
pub(crate) use exit::{exit_group, exit_task};
pub(crate) use image::HeldImage;
pub(crate) use pid::{PID_MAX, Pid, PidNamespace, number};
pub(crate) use pidfd::PidFd;
pub(crate) use process_tree::{ExitStatus, Process, ProcessTree, Tree};
pub(crate) use rlimit::{Resource, Rlimit, Rlimits};
pub(crate) use run::{Held, TaskRun};
pub(crate) use scheduling::{CpuSet, Policy, Scheduling};
pub(crate) use set_id::securebits;
pub(crate) use task::{Task, TaskParts};
pub(crate) use task_set::TaskSet;
pub(crate) use thread_group::{GroupState, ThreadGroup};
pub(crate) use uts::{UtsNames, UtsNamespace};
pub(crate) use vfork::Vfork;
pub(crate) use wait::{WaitFor, WaitOptions, Waited, WaitedChange, find_child};
