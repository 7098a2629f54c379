//! The loop that lets guest threads run and hands their traps to the kernel.

use std::time::Duration;

use cloister_abi::{Errno, Registers, errno};
use rustix::process::Pid;

use super::placement;
use super::signal::Sleeper;
use super::sys;
use super::tables::{Request, Stop};
use super::tracer::Tracer;
use crate::{Exception, Supervisor, Trap};

/// The bit that marks the signal of a stop by `PTRACE_SYSEMU` (`PTRACE_O_TRACESYSGOOD`).
const SYSCALL_STOP: i32 = libc::SIGTRAP | 0x80;
/// `SYS_SECCOMP`: the `si_code` of a `SIGSYS` by a filter.
const SYS_SECCOMP: i32 = 1;
/// `SI_KERNEL`: the `si_code` of a general protection fault.
const SI_KERNEL: i32 = 0x80;

/// Runs guest threads until `supervisor` is finished.
pub(crate) fn run(tracer: &Tracer, sleeper: &Sleeper, supervisor: &dyn Supervisor) -> std::io::Result<()> {
    tracer.tables().placement.settle();
    let result = run_settled(tracer, sleeper, supervisor);
    tracer.tables().placement.leave();
    result
}

fn run_settled(tracer: &Tracer, sleeper: &Sleeper, supervisor: &dyn Supervisor) -> std::io::Result<()> {
    loop {
        let timeout = supervisor.run_pending();
        if supervisor.is_finished() {
            return Ok(());
        }
        for request in tracer.take_requests() {
            match request {
                Request::Resume(pid, registers) => tracer.resume(pid, &registers),
                Request::Interrupt(pid) => tracer.interrupt(pid),
            }
        }
        if let Some((_, entry, signal)) = tracer.take_gone() {
            entry.handler.on_trap(Trap::Gone { signal }, &Registers::default());
        } else if let Some(stop) = tracer.poll_stop() {
            tracer.handle(stop);
        } else if supervisor.may_sleep() {
            tracer.sleep(sleeper, supervisor, timeout)?;
        }
    }
}

impl Tracer {
    /// Sleeps until there is something to do, or `timeout` is over.
    fn sleep(
        &self,
        sleeper: &Sleeper,
        supervisor: &dyn Supervisor,
        timeout: Option<Duration>,
    ) -> std::io::Result<()> {
        let (timeout, is_reviewed) = {
            let mut tables = self.tables();
            // The last look for a stop may have found deaths instead, for which the host signals no more.
            if !tables.gone.is_empty() {
                return Ok(());
            }
            let limit = tables.let_go_busy().then_some(placement::PATIENCE);
            let timeout = timeout.into_iter().chain(limit).min();
            (timeout, tables.placement.review())
        };
        let result = sleeper.sleep([supervisor.event_fd(), self.wake_fd()], timeout);
        if is_reviewed {
            self.tables().placement.settle();
        }
        result.map(drop)
    }

    /// Lets a stopped guest thread run until its next trap.
    pub(crate) fn resume(&self, pid: Pid, registers: &Registers) {
        if !self.tables().note_resume(pid) {
            return;
        }
        // A failure means that the thread was killed: its death is reported by a wait.
        let _ = sys::set_registers(pid, &sanitised(registers)).and_then(|()| sys::continue_emulated(pid));
    }

    /// Asks a running guest thread to stop.
    pub(crate) fn interrupt(&self, pid: Pid) {
        match self.tables().thread(pid) {
            Some(entry) if entry.is_running() => entry.is_interrupt_wanted = true,
            _ => return,
        }
        let _ = sys::interrupt(pid);
    }

    /// Hands a stop to the kernel if it is a trap, and lets the thread go on if it is not.
    fn handle(&self, stop: Stop) {
        let was_interrupt_wanted = match self.tables().thread(stop.pid) {
            Some(entry) => std::mem::take(&mut entry.is_interrupt_wanted),
            None => return,
        };
        match self.trap_of(stop, was_interrupt_wanted) {
            Ok(Some((trap, registers))) => {
                let Some(handler) = self.tables().note_stop(stop.pid) else { return };
                handler.on_trap(trap, &registers);
            }
            Ok(None) => {
                if let Some(entry) = self.tables().thread(stop.pid) {
                    entry.is_interrupt_wanted = was_interrupt_wanted;
                }
                let _ = sys::continue_emulated(stop.pid);
            }
            // Killed meanwhile: its death is reported by a wait.
            Err(_) => {}
        }
    }

    /// Returns what a stop means to the kernel: `None` if nothing.
    fn trap_of(&self, stop: Stop, was_interrupt_wanted: bool) -> Result<Option<(Trap, Registers)>, Errno> {
        let pid = stop.pid;
        match (stop.event, stop.signal) {
            (0, SYSCALL_STOP) => syscall_of(pid).map(Some),
            (0, libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL | libc::SIGTRAP) => {
                let info = sys::signal_info(pid)?;
                if info.code <= 0 {
                    return Ok(None); // sent by a process of the host
                }
                let exception = Exception { signal: stop.signal, code: info.code, address: info.address };
                let registers = Registers { orig_rax: u64::MAX, ..sys::registers(pid)? };
                Ok(Some((Trap::Exception(exception), registers)))
            }
            (0, libc::SIGSYS) => {
                let info = sys::signal_info(pid)?;
                if info.code != SYS_SECCOMP {
                    return Ok(None);
                }
                // A call of a function in the `vsyscall` page, from which the host has already returned.
                let number = u64::try_from(info.syscall).map_err(|_| errno::EIO)?;
                Ok(Some((Trap::Syscall, Registers { orig_rax: number, ..sys::registers(pid)? })))
            }
            (libc::PTRACE_EVENT_STOP, libc::SIGTRAP) if was_interrupt_wanted => {
                let registers = Registers { orig_rax: u64::MAX, ..sys::registers(pid)? };
                Ok(Some((Trap::Interrupted, registers)))
            }
            // A group stop, a signal from somebody else, or an interrupt that came after another trap.
            _ => Ok(None),
        }
    }

    /// Has a helper compare and exchange a word.
    pub(crate) fn compare_exchange(
        &self,
        helper: Pid,
        address: u64,
        current: u32,
        new: u32,
    ) -> Result<u32, Errno> {
        let registers =
            Registers { rdi: address, rax: current.into(), rdx: new.into(), ..Registers::start_at(0, 0) };
        let ended = self.run_routine(helper, self.layout.compare_exchange, &registers)?;
        Ok(u32::try_from(ended & u64::from(u32::MAX)).unwrap_or_default())
    }
}

/// Returns the trap of a thread that is at the entry of a system call.
///
/// Only the 64-bit `syscall` instruction is a system call to the kernel. The 32-bit entries (`int 0x80`, `sysenter`,
/// code in a 32-bit segment) are what they are on a host without them: a general protection fault at the instruction.
fn syscall_of(pid: Pid) -> Result<(Trap, Registers), Errno> {
    let registers = sys::registers(pid)?;
    // The `syscall` instruction leaves these copies. A thread that prepares them and then uses another entry is
    // taken for one that used `syscall`, which does no harm to anybody: it could have done so.
    let is_syscall = registers.cs == Registers::USER_CS
        && registers.rcx == registers.rip
        && registers.r11 == registers.eflags;
    if is_syscall || sys::is_64_bit_call(pid)? {
        return Ok((Trap::Syscall, registers));
    }
    let exception = Exception { signal: libc::SIGSEGV, code: SI_KERNEL, address: 0 };
    // Each of the instructions is two bytes long.
    let registers = Registers {
        rip: registers.rip.wrapping_sub(2),
        rax: registers.orig_rax,
        orig_rax: u64::MAX,
        ..registers
    };
    Ok((Trap::Exception(exception), registers))
}

/// Returns `registers` such that the host takes them, whatever the guest or an image put there.
pub(crate) fn sanitised(registers: &Registers) -> Registers {
    /// What user code can set: CF, PF, AF, ZF, SF, TF, DF, OF, RF, AC.
    const USER_FLAGS: u64 = 0x0005_0dd5;
    /// The end of the addresses that the host accepts as a segment's base.
    const USER_END: u64 = 0x7fff_ffff_f000;
    let selector = |value: u64| if matches!(value, 0x23 | 0x2b | 0x33) { value } else { 0 };
    let base = |value: u64| if value < USER_END { value } else { 0 };
    Registers {
        cs: Registers::USER_CS,
        ss: Registers::USER_SS,
        ds: selector(registers.ds),
        es: selector(registers.es),
        fs: selector(registers.fs),
        gs: selector(registers.gs),
        fs_base: base(registers.fs_base),
        gs_base: base(registers.gs_base),
        eflags: registers.eflags & USER_FLAGS | Registers::INITIAL_EFLAGS,
        // Not in a system call: the host must not restart one.
        orig_rax: u64::MAX,
        ..*registers
    }
}
