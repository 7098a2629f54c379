//! A container and its processes: a file for each verb.

mod checkpoint;
mod container;
mod create;
mod delete;
mod end;
mod exec;
mod kill;
mod limits;
mod metrics;
mod oom;
mod process;
mod start;

pub(crate) use container::{Container, blocking};
pub(crate) use create::create;
pub(crate) use process::{Exit, Phase, Process};
