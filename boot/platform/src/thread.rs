//! A guest thread.

use std::ops::Add;
use std::time::Duration;

use cloister_abi::{Errno, Registers};
use serde::{Deserialize, Serialize};

use crate::FpuState;

/// A guest thread: one host thread of a stub process.
///
/// All but [`Thread::interrupt`], [`Thread::cpu_time`] and [`Thread::exit`] are called only while it is stopped.
pub trait Thread: Send + Sync + std::fmt::Debug {
    /// Lets it run with `registers` until its next trap. Segment registers and privileged flags that a user
    /// thread can't have are made harmless.
    fn resume(&self, registers: &Registers);

    /// Returns the floating-point and vector registers.
    ///
    /// # Errors
    ///
    /// `ESRCH` if the host thread is gone.
    fn fpu(&self) -> Result<FpuState, Errno>;

    /// Returns some state of the size that [`Thread::fpu`] has, with the processor's features and a mask of MXCSR. What
    /// else it holds does not matter, so it may cost less than the thread's own.
    ///
    /// # Errors
    ///
    /// As [`Thread::fpu`].
    fn fpu_form(&self) -> Result<FpuState, Errno> {
        self.fpu()
    }

    /// Sets the floating-point and vector registers.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the processor does not take the state, which may come from the guest.
    fn set_fpu(&self, state: &FpuState) -> Result<(), Errno>;

    /// Asks that it stop soon with [`Trap::Interrupted`](crate::Trap::Interrupted). If it stops with another trap
    /// first, or is stopped already, the request is forgotten.
    fn interrupt(&self);

    /// Ends it, stopped or not; no trap follows.
    fn exit(&self);

    /// Returns the processor time that its host thread has used.
    fn cpu_time(&self) -> CpuTime;
}

/// Processor time of a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuTime {
    /// Time in guest code.
    pub user: Duration,
    /// Time of the host's kernel on its behalf (page faults).
    pub system: Duration,
}

impl CpuTime {
    /// Returns both together.
    pub fn total(self) -> Duration {
        self.user.saturating_add(self.system)
    }
}

impl Add for CpuTime {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { user: self.user.saturating_add(other.user), system: self.system.saturating_add(other.system) }
    }
}
