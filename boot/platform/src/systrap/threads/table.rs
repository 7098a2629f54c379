//! The threads that there are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cloister_abi::Registers;
use hashbrown::HashMap;
use rustix::process::Pid;

use crate::ptrace::placement::{Habit, Placement};
use crate::ptrace::space::Space;
use crate::systrap::slot::{Frame, Given, Slots};
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
    pub(super) turn: Turn,
}

/// Whether a thread that can run does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// It does, as far as the host lets it.
    Now,
    /// It sleeps on the host since it could run, and is to be woken when its turn comes.
    Waits(Instant),
    /// The same, and a thread that parks was told to wake it.
    Next(Instant),
}

impl Running {
    /// Returns whether it uses the processor that guest threads share.
    fn is_at_home(&self) -> bool {
        !self.is_let_go && !matches!(self.turn, Turn::Waits(_))
    }

    /// Returns since when it could run, if it may sleep still.
    fn could_run_since(&self) -> Option<Instant> {
        match self.turn {
            Turn::Now => None,
            Turn::Waits(since) | Turn::Next(since) => Some(since),
        }
    }
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
    /// Lets a stopped thread run, whose slot says how. One that sleeps on the host, and shares a processor with another that
    /// runs, is woken by [`Table::take_turns`], or by the other.
    pub(super) fn run(&mut self, pid: Pid, slots: &Slots) {
        let Some(state) = self.threads.get_mut(&pid) else { return };
        state.phase = Phase::Runs;
        self.placement.resume(pid, &mut state.habit, self.running.is_empty());
        let (slot, is_let_go) = (state.slot, state.habit.is_let_go());
        let mut turn = Turn::Now;
        if slots.release(slot) {
            if !is_let_go && self.running.iter().any(Running::is_at_home) {
                turn = Turn::Waits(Instant::now());
            } else {
                slots.wake(slot);
            }
        }
        self.running.push(Running { pid, slot, is_let_go, turn });
    }

    /// Parks the thread that has `slot`. If another waits for its processor, it hands over to that.
    pub(super) fn park(&mut self, slot: usize, slots: &Slots) {
        match self.next() {
            Some((next, since)) if slots.hand_over(slot, next.slot) => next.turn = Turn::Next(since),
            _ => slots.park(slot),
        }
    }

    /// Returns the thread whose turn it is on the processor that guest threads share, if that is free.
    fn next(&mut self) -> Option<(&mut Running, Instant)> {
        let is_free = !self.running.iter().any(Running::is_at_home);
        let since = |thread: &mut Running| thread.could_run_since();
        let waits = self.running.iter_mut().filter_map(|thread| since(thread).map(|since| (thread, since)));
        waits.min_by_key(|(_, since)| *since).filter(|_| is_free)
    }

    /// Wakes threads that sleep on the host and can run: the one whose turn it is, and those that could since `late` or
    /// before.
    pub(super) fn take_turns(&mut self, late: Option<Instant>, slots: &Slots) {
        if let Some((next, _)) = self.next() {
            slots.wake(next.slot);
            next.turn = Turn::Now;
        }
        for thread in &mut self.running {
            if thread.could_run_since().is_some_and(|since| late.is_some_and(|late| since <= late)) {
                slots.wake(thread.slot);
                thread.turn = Turn::Now;
            }
        }
    }
}
