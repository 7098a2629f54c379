//! The kernel as a whole: what all tasks share, and how work reaches them.
//!
//! ```text
//! platform: guest thread traps ──> Task::on_trap ──> system call, signals ──> resumed | parked | gone
//! parked task woken (another task's call, a timer, host readiness) ──> run queue ──> re-entered
//! ```

mod generation;
mod identity;
mod kernel;
mod parameters;
mod park;
mod reactor;
mod run_queue;
mod timer_queue;

pub(crate) use generation::{Generation, GenerationImage};
pub(crate) use identity::{MACHINE, RELEASE, VERSION};
pub(crate) use kernel::{Kernel, KernelOptions};
pub(crate) use parameters::{Parameter, Parameters};
pub(crate) use park::Park;
pub(crate) use reactor::{HostEvents, Reactor, Watch};
pub(crate) use run_queue::RunQueue;
pub(crate) use timer_queue::{Expire, TimerHandle, TimerQueue};
