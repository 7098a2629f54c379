//! What a task has set for itself and few others look at (`prctl(2)`, `sched(7)`, `personality(2)`).

use serde::{Deserialize, Serialize};

use super::Scheduling;
use crate::mm::Randomization;
use crate::signal::Signal;

/// The bit of the execution domain by which addresses are the same in every run.
const ADDR_NO_RANDOMIZE: u32 = 0x4_0000;

/// The default of [`TaskAttributes::timer_slack_ns`].
pub(crate) const DEFAULT_TIMER_SLACK_NS: u64 = 50_000;

/// What a task has set for itself and few others look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskAttributes {
    /// What it is sent when its parent ends (`PR_SET_PDEATHSIG`).
    pub(crate) parent_death_signal: Option<Signal>,
    /// How late its timers may be, in nanoseconds (`PR_SET_TIMERSLACK`); recorded only.
    pub(crate) timer_slack_ns: u64,
    /// The execution domain (`personality(2)`).
    pub(crate) personality: u32,
    /// How it is scheduled; recorded only.
    pub(crate) scheduling: Scheduling,
    /// Its I/O class and priority (`ioprio_set(2)`); recorded only.
    pub(crate) io_priority: u16,
    /// Whether others with its user may look into it (`PR_SET_DUMPABLE`).
    pub(crate) is_dumpable: bool,
    /// Whether its memory is not to have huge pages (`PR_SET_THP_DISABLE`); recorded only.
    pub(crate) is_without_huge_pages: bool,
}

impl Default for TaskAttributes {
    fn default() -> Self {
        Self {
            parent_death_signal: None,
            timer_slack_ns: DEFAULT_TIMER_SLACK_NS,
            personality: 0,
            scheduling: Scheduling::default(),
            io_priority: 0,
            is_dumpable: true,
            is_without_huge_pages: false,
        }
    }
}

impl TaskAttributes {
    /// Returns whether the addresses of the programs that it executes are chosen at random.
    pub(crate) fn randomization(&self) -> Randomization {
        if self.personality & ADDR_NO_RANDOMIZE == 0 { Randomization::On } else { Randomization::Off }
    }

    /// Takes away what a program does not get that may do more than its caller (`prctl(2)`, `personality(2)`).
    pub(crate) fn on_secure_exec(&mut self) {
        self.parent_death_signal = None;
        self.personality &= !ADDR_NO_RANDOMIZE;
        self.is_dumpable = false;
    }

    /// Returns those of a task that this one makes.
    pub(crate) fn for_clone(&self) -> Self {
        Self { parent_death_signal: None, scheduling: self.scheduling.for_clone(), ..self.clone() }
    }
}
