//! How a stopped thread goes on.

use std::time::{Duration, Instant};

use cloister_abi::{Errno, Registers, errno};
use rustix::process::{Pid, Signal};

use super::GuestThreads;
use super::table::{Phase, State};
use crate::ptrace::run::sanitised;
use crate::ptrace::space::Space;
use crate::systrap::call_sites;
use crate::systrap::slot::{FpuPlace, Frame, Given};

/// How long a thread at a call site has to come with a frame, or to save its registers, before it is killed: nothing but
/// guest code of its address space can keep it from that.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often to look for that before others may run: somewhat longer than saving takes.
const LOOKS: u32 = 200;

impl GuestThreads {
    pub(super) fn resume(&self, pid: Pid, registers: &Registers) {
        let registers = sanitised(registers);
        let mut table = self.table();
        let Some(state) = table.threads.get_mut(&pid) else { return };
        let slot = state.slot;
        match &mut state.phase {
            Phase::Begins { resume, .. } => *resume = Some(Box::new(registers)),
            Phase::Runs => {}
            Phase::Stopped(frame) => {
                self.load(&state.space, slot, *frame, &registers);
                table.run(pid, &self.slots);
            }
            Phase::Calls { registers: call, is_fpu_set: false } if is_return(call, &registers) => {
                self.copier.clear();
                self.slots.set_result(slot, registers.rax);
                state.given = Given::Result;
                table.run(pid, &self.slots);
            }
            Phase::Calls { registers: call, is_fpu_set } if can_go_on(call, &registers) => {
                self.copier.clear();
                state.given = if *is_fpu_set { Given::All } else { Given::Registers };
                let resume = call_sites::resume_at(&state.space, registers.rip);
                self.slots.give(slot, &registers, resume, state.given);
                table.run(pid, &self.slots);
            }
            Phase::Calls { .. } => {
                drop(table);
                if self.stopped(pid).is_ok() {
                    self.resume(pid, &registers);
                }
            }
        }
    }

    /// Returns the slot and the frame of a stopped thread. One that is at a call site is made to come with a frame.
    ///
    /// # Errors
    ///
    /// `ESRCH` if it runs, is gone, or does not come: then it is killed.
    pub(super) fn stopped(&self, pid: Pid) -> Result<(usize, Frame), Errno> {
        let (slot, is_fpu_set) = match self.table().threads.get(&pid) {
            Some(State { slot, phase: Phase::Stopped(frame), .. }) => return Ok((*slot, *frame)),
            Some(State { slot, phase: Phase::Calls { is_fpu_set, .. }, .. }) => (*slot, *is_fpu_set),
            _ => return Err(errno::ESRCH),
        };
        let frame = self.unfold(slot, PATIENCE).inspect_err(|error| kill_if_late(pid, *error))?;
        if is_fpu_set {
            let fpu = self.slots.fpu(slot, FpuPlace::Slot)?;
            self.slots.set_fpu(slot, FpuPlace::Frame(frame), &fpu)?;
        }
        if let Some(state) = self.table().threads.get_mut(&pid) {
            state.phase = Phase::Stopped(frame);
        }
        Ok((slot, frame))
    }

    /// Has a stopped thread say what its vector registers are, if it does not have. Returns its slot, and where they are.
    ///
    /// # Errors
    ///
    /// As [`GuestThreads::stopped`].
    pub(super) fn saved(&self, pid: Pid) -> Result<(usize, FpuPlace), Errno> {
        let (slot, is_fpu_set) = match self.table().threads.get(&pid) {
            Some(State { slot, phase: Phase::Stopped(frame), .. }) => {
                return Ok((*slot, FpuPlace::Frame(*frame)));
            }
            Some(State { slot, phase: Phase::Calls { is_fpu_set, .. }, .. }) => (*slot, *is_fpu_set),
            _ => return Err(errno::ESRCH),
        };
        if !is_fpu_set {
            self.slots.save(slot);
            wait_until(PATIENCE, || self.slots.is_saved(slot))
                .inspect_err(|error| kill_if_late(pid, *error))?;
        }
        Ok((slot, FpuPlace::Slot))
    }

    /// Has a thread that is at a call site come with a frame.
    ///
    /// # Errors
    ///
    /// `ESRCH` if it does not come soon enough, `EFAULT` if what comes makes no sense.
    pub(super) fn unfold(&self, slot: usize, patience: Duration) -> Result<Frame, Errno> {
        self.copier.clear();
        self.slots.unfold(slot);
        wait_until(patience, || self.slots.is_unfolded(slot))?;
        Ok(self.slots.report(slot)?.frame)
    }

    /// Has a stopped thread go on with `registers`.
    pub(super) fn load(&self, space: &Space, slot: usize, frame: Frame, registers: &Registers) {
        let rip = call_sites::resume_at(space, registers.rip);
        self.slots.set_registers(slot, frame, &Registers { rip, ..*registers });
    }
}

/// Returns whether `registers` are those of `call` with a result.
fn is_return(call: &Registers, registers: &Registers) -> bool {
    *call == Registers { rax: call.rax, rcx: call.rcx, r11: call.r11, ..*registers }
}

/// Returns whether a thread that made `call` at a patched site can go on with `registers` from there. What it can't set
/// itself without others noticing are bases of segments, and the flags by which the processor stops it on the way.
fn can_go_on(call: &Registers, registers: &Registers) -> bool {
    /// The trap flag, and the one that keeps a breakpoint from being hit again.
    const STEPS: u64 = 1 << 8 | 1 << 16;
    (registers.fs_base, registers.gs_base) == (call.fs_base, 0) && registers.eflags & STEPS == 0
}

/// Waits until `is_done`, or `patience` is over.
///
/// # Errors
///
/// `ESRCH` then.
fn wait_until(patience: Duration, is_done: impl Fn() -> bool) -> Result<(), Errno> {
    let is_soon = (0..LOOKS).any(|_| {
        std::hint::spin_loop();
        is_done()
    });
    let asked = Instant::now();
    while !is_soon && !is_done() {
        if asked.elapsed() >= patience {
            return Err(errno::ESRCH);
        }
        // The thread may wait for this processor.
        rustix::thread::sched_yield();
    }
    Ok(())
}

/// Kills a thread that did not do in time what only its address space can keep it from.
fn kill_if_late(pid: Pid, error: Errno) {
    if error == errno::ESRCH {
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}
