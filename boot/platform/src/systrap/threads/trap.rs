//! What the trap of a thread means, and that the kernel is told.

use std::sync::Arc;

use cloister_abi::{Errno, Registers, errno};
use rustix::process::{Pid, Signal};

use super::table::{Phase, State};
use super::{GuestThreads, INTERRUPT};
use crate::ptrace::run::sanitised;
use crate::ptrace::space::Space;
use crate::systrap::Patching;
use crate::systrap::call_sites::{self, At};
use crate::systrap::filter::ARCHITECTURE;
use crate::systrap::slot::{FpuPlace, Given, Report};
use crate::{Exception, Trap, TrapHandler};

/// `SYS_SECCOMP`: the `si_code` of a `SIGSYS` by a filter.
const SYS_SECCOMP: i32 = 1;
/// Where the legacy `vsyscall` page is.
const VSYSCALL_PAGE: u64 = 0xffff_ffff_ff60_0000;
/// `SI_KERNEL`: the `si_code` of a general protection fault.
const SI_KERNEL: i32 = 0x80;

/// What the kernel is to be told.
struct Told {
    trap: Trap,
    registers: Registers,
    handler: Arc<dyn TrapHandler>,
}

impl GuestThreads {
    /// Hands the trap of a thread to the kernel.
    pub(in crate::systrap) fn handle(&self, pid: Pid) {
        match self.look_at(pid) {
            Ok(Some(Told { trap, registers, handler })) => {
                handler.on_trap(trap, &registers);
                self.copier.clear();
                let mut table = self.table();
                if let Some(State { slot, phase: Phase::Stopped(_) | Phase::Calls { .. }, .. }) =
                    table.threads.get(&pid)
                {
                    let slot = *slot;
                    table.park(slot, &self.slots);
                }
            }
            Ok(None) => {}
            // What it reports makes no sense. Its death is reported by a wait.
            Err(_) => _ = rustix::process::kill_process(pid, Signal::KILL),
        }
    }

    /// Looks at a thread that trapped. Returns what is for the kernel; otherwise it runs on, or waits for the kernel.
    fn look_at(&self, pid: Pid) -> Result<Option<Told>, Errno> {
        let mut table = self.table();
        let Some(state) = table.threads.get_mut(&pid) else { return Ok(None) };
        let slot = state.slot;
        state.habit.note_stop();
        let is_interrupt_wanted = std::mem::take(&mut state.is_interrupt_wanted);
        let begins = matches!(state.phase, Phase::Begins { .. });
        if !begins && self.slots.is_call(slot) {
            let registers = sanitised(&self.slots.call(slot));
            state.phase = Phase::Calls { registers, is_fpu_set: false };
            self.copier.set(slot, state.space.helper());
            let (registers, handler) = (as_call(&registers), Arc::clone(&state.handler));
            return Ok(Some(Told { trap: Trap::Syscall, registers, handler }));
        }
        let report = self.slots.report(slot)?;
        match std::mem::replace(&mut state.phase, Phase::Stopped(report.frame)) {
            Phase::Begins { fpu, resume } => {
                if (report.signal, report.code) != (libc::SIGSYS, SYS_SECCOMP) {
                    return Err(errno::EIO); // it could not be set up
                }
                fpu.map_or(Ok(()), |fpu| self.slots.set_fpu(slot, FpuPlace::Frame(report.frame), &fpu))?;
                let Some(registers) = resume else { return Ok(None) };
                if is_interrupt_wanted {
                    let (trap, handler) = (Trap::Interrupted, Arc::clone(&state.handler));
                    return Ok(Some(Told { trap, registers: *registers, handler }));
                }
                self.load(&state.space, slot, report.frame, &registers);
            }
            Phase::Runs | Phase::Stopped(_) | Phase::Calls { .. } => {
                let (space, handler) = (Arc::clone(&state.space), Arc::clone(&state.handler));
                let mut report = report;
                if self.is_answered(&report) {
                    // Signalled on the way back from a call site; it need not go on there.
                    if state.given == Given::All && report.registers.rip < self.tracer.layout.restored {
                        let fpu = self.slots.fpu(slot, FpuPlace::Slot)?;
                        self.slots.set_fpu(slot, FpuPlace::Frame(report.frame), &fpu)?;
                    }
                    report.registers = self.slots.given(slot, state.given);
                    self.load(&space, slot, report.frame, &sanitised(&report.registers));
                }
                if let Some((trap, registers)) = self.trap_of(&space, slot, &report, is_interrupt_wanted) {
                    drop(table);
                    let is_site = trap == Trap::Syscall && report.signal == libc::SIGSYS;
                    if is_site && self.patching == Patching::On {
                        let is_quiet = || self.is_quiet(&space);
                        call_sites::consider(&space, &registers, &*handler, is_quiet);
                    }
                    return Ok(Some(Told { trap, registers, handler }));
                }
                state.is_interrupt_wanted = is_interrupt_wanted;
            }
        }
        table.run(pid, &self.slots);
        Ok(None)
    }

    /// Returns whether a thread has the answer to a call from a patched site, and was not back there yet.
    fn is_answered(&self, report: &Report) -> bool {
        let layout = &self.tracer.layout;
        // Calls of the stub's own are made by guest code that jumped there.
        (layout.answer..layout.name).contains(&report.registers.rip) && report.signal != libc::SIGSYS
    }

    /// Returns what a report means to the kernel: `None` if nothing.
    fn trap_of(
        &self,
        space: &Space,
        slot: usize,
        report: &Report,
        is_interrupt_wanted: bool,
    ) -> Option<(Trap, Registers)> {
        let rip = report.registers.rip;
        let layout = &self.tracer.layout;
        let place = space.call_sites().place_of(rip);
        match place {
            // The jump that its program does not have is no step.
            Some(At::Site(_)) if report.signal == libc::SIGTRAP => return None,
            Some(At::Site(rip) | At::Program(rip)) => {
                let registers = Registers { rip, ..report.registers };
                return trap_of(&Report { registers, ..*report }, is_interrupt_wanted);
            }
            // Whatever stopped it, it asks for the call.
            Some(At::Call(after, number)) => {
                let rax = number.map_or(report.registers.rax, u64::from);
                return Some((Trap::Syscall, as_call(&Registers { rip: after, rax, ..report.registers })));
            }
            None => {}
        }
        if (layout.call_site..layout.answer).contains(&rip)
            && let Some(after) = space.call_sites().after(report.registers.r11)
        {
            let saved = self.slots.call(slot);
            let is_saved = rip >= layout.call_saved;
            let (rax, rsp) =
                if is_saved { (saved.rax, saved.rsp) } else { (report.registers.rax, report.registers.rsp) };
            let registers = Registers { rip: after, rax, rsp, ..report.registers };
            return Some((Trap::Syscall, as_call(&registers)));
        }
        if report.signal == libc::SIGILL
            && let Some(after) = call_sites::second_half(space, rip)
        {
            return Some((Trap::Syscall, as_call(&Registers { rip: after, ..report.registers })));
        }
        trap_of(report, is_interrupt_wanted)
    }
}

/// Returns the registers as the `syscall` instruction leaves them, for the call whose number is in `rax`.
fn as_call(registers: &Registers) -> Registers {
    /// The resume flag, which the processor sets in the frame of a fault.
    const RF: u64 = 1 << 16;
    let eflags = registers.eflags & !RF;
    Registers { rcx: registers.rip, r11: eflags, orig_rax: registers.rax, eflags, ..*registers }
}

/// Returns what a report means to the kernel: `None` if nothing.
pub(in crate::systrap) fn trap_of(report: &Report, is_interrupt_wanted: bool) -> Option<(Trap, Registers)> {
    let registers = report.registers;
    match report.signal {
        libc::SIGSYS if report.code == SYS_SECCOMP && report.architecture == ARCHITECTURE => {
            // For a function of the `vsyscall` page the host has found the number itself, and has returned from it.
            let is_by_page = report.address >= VSYSCALL_PAGE;
            let orig_rax = if is_by_page { u64::from(report.syscall.cast_unsigned()) } else { registers.rax };
            Some((Trap::Syscall, Registers { orig_rax, ..registers }))
        }
        libc::SIGSYS if report.code == SYS_SECCOMP => {
            // A 32-bit entry (`int 0x80`, …), which the kernel does not have; each instruction is two bytes long.
            let exception = Exception { signal: libc::SIGSEGV, code: SI_KERNEL, address: 0 };
            let rip = registers.rip.wrapping_sub(2);
            Some((Trap::Exception(exception), Registers { rip, ..registers }))
        }
        signal @ (libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL | libc::SIGTRAP)
            if report.code > 0 =>
        {
            let exception = Exception { signal, code: report.code, address: report.address };
            Some((Trap::Exception(exception), registers))
        }
        signal if signal == INTERRUPT.as_raw() && is_interrupt_wanted => Some((Trap::Interrupted, registers)),
        // Sent by a process of the host, or an interruption that came after another trap.
        _ => None,
    }
}
