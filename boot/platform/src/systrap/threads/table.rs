//! The threads that there are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cloister_abi::Registers;
use hashbrown::HashMap;
use rustix::process::Pid;

use crate::ptrace::placement::{Habit, Placement};
use crate::ptrace::space::Space;
use crate::systrap::slot::{Frame, Given};
use crate::{FpuState, TrapHandler};

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) threads: HashMap<Pid, State>,
    /// Those that run or begin, with their slots: what is looked at for traps.
    pub(super) running: Vec<Running>,
    pub(super) placement: Placement,
    /// The interruptions that may not have come.
    pub(super) asked: Vec<Asked>,
    /// When to look for windows that can be closed, if any are open.
    pub(super) windows: Option<Instant>,
}

/// An interruption that a running thread was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) pid: Pid,
    pub(super) last: Instant,
    pub(super) times: u32,
    /// What it had used of processors before.
    pub(super) used: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    pub(super) pid: Pid,
    pub(super) slot: usize,
    /// Whether it may keep a processor of its own busy.
    pub(super) is_let_go: bool,
}

/// Where a guest thread is.
pub(super) struct State {
    pub(super) slot: usize,
    pub(super) phase: Phase,
    /// Who gets its traps.
    pub(super) handler: Arc<dyn TrapHandler>,
    /// Its memory.
    pub(super) space: Arc<Space>,
    /// How it is used, for its placement.
    pub(super) habit: Habit,
    /// Whether [`Thread::interrupt`] asked for a stop that has not come.
    pub(super) is_interrupt_wanted: bool,
    /// What it was given when it last went on from a patched call site.
    pub(super) given: Given,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// It is on its way to its first trap, which nobody is told of; then it is given these.
    Begins { fpu: Option<FpuState>, resume: Option<Box<Registers>> },
    /// It runs guest code.
    Runs,
    /// It trapped, and all its registers are in a frame.
    Stopped(Frame),
    /// It is at a patched call site, with these registers; whether its vector registers, which it still has, are to be
    /// replaced by those in its slot.
    Calls { registers: Registers, is_fpu_set: bool },
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("slot", &self.slot).field("phase", &self.phase).finish_non_exhaustive()
    }
}

impl Table {
    /// Takes note that a stopped thread is about to run.
    pub(super) fn run(&mut self, pid: Pid) {
        let Some(state) = self.threads.get_mut(&pid) else { return };
        state.phase = Phase::Runs;
        self.placement.resume(pid, &mut state.habit, self.running.is_empty());
        self.running.push(Running { pid, slot: state.slot, is_let_go: state.habit.is_let_go() });
    }
}
