//! How helpers are told what to do without a ptrace stop.
//!
//! A stop and its answer are four context switches' worth of work for the host, and the helper runs where the kernel's
//! thread is: the host then has to interrupt the processor on which the guest thread waits, for its view of memory to
//! change. So a helper gets a page of commands with the first thread of its address space, and a loop that carries them
//! out. The thread that waits for the change wakes it on its own processor, and lets it go first. If that does not
//! happen, or other threads want that processor, the kernel wakes it on its own.
//!
//! To sleep and be woken costs a helper as much as to carry a change out, and changes come in bursts. So in a burst one that
//! shares its processor with guest threads does not sleep at once: it lets them run, and looks again when the host comes
//! back to it.
//!
//! # Trust
//!
//! The page is read-only in the address space. The loop reads no other memory, and its registers are its own. An answer
//! is the position of a file that only helpers have open: a number that the command had, and the result. What guest
//! code can do is not wake the helper, wake it for nothing, or say falsely that it sleeps or does not, which a word in the
//! slot tells: the kernel then wakes it on its own a little later.
//!
//! The page belongs to the first slot of the address space, and is, like it, never seen by two.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cloister_abi::{Errno, Registers, errno};
use rustix::fs::MemfdFlags;
use rustix::process::Pid;
use rustix::thread::{ClockId, futex};

use super::slot::{COMMAND_WORDS, GIVE_WAY, HELP, HELPER_SLEEPS, Slots};
use crate::ptrace::image::Routine;
use crate::ptrace::sys::{self, Wait};
use crate::ptrace::tables::{Service, Stop};
use crate::ptrace::tracer::Tracer;

/// How often the kernel's thread looks for an answer before it lets another run.
const LOOKS: u32 = 8;
/// How often a helper in a burst lets others run before it sleeps.
const YIELDS: u64 = 4;
/// So many changes that follow each other so soon are a burst. A program that starts makes fewer.
const BURST: u32 = 8;
const SOON: Duration = Duration::from_micros(40);
/// How long a guest thread has to let its helper run.
const WAKE_PATIENCE: Duration = Duration::from_micros(20);
/// How long the kernel's thread looks for an answer without a pause, and how long a pause is.
const PATIENCE: Duration = Duration::from_micros(200);
const PAUSE: Duration = Duration::from_micros(50);

/// The pages of commands of a sandbox, and where the answers are.
#[derive(Debug)]
pub(crate) struct Commands {
    slots: Arc<Slots>,
    answers: OwnedFd,
    /// The number of the last command.
    last: AtomicU32,
}

impl Commands {
    pub(super) fn new(slots: Arc<Slots>) -> std::io::Result<Self> {
        let answers = rustix::fs::memfd_create("cloister-answers", MemfdFlags::CLOEXEC)?;
        Ok(Self { slots, answers, last: AtomicU32::new(0) })
    }

    /// Returns the file whose position is the answer.
    pub(super) fn answers(&self) -> BorrowedFd<'_> {
        self.answers.as_fd()
    }

    /// Returns the slot whose page a helper looks at. One that has a page, and is stopped, begins to.
    pub(crate) fn server(&self, tracer: &Tracer, helper: Pid) -> Option<usize> {
        let slot = match *tracer.tables().service(helper)? {
            Service::Serves(slot) => return Some(slot),
            Service::Paused(slot) => slot,
            Service::Stopped => return None,
        };
        self.begin(tracer, helper, slot).ok()?;
        Some(slot)
    }

    /// Has a stopped helper look at the page that belongs to a slot.
    fn begin(&self, tracer: &Tracer, helper: Pid, slot: usize) -> Result<(), Errno> {
        let (number, command) = self.slots.commands(slot).ok_or(errno::EINVAL)?;
        if let Some(word) = command.get(COMMAND_WORDS - 1) {
            word.store(self.slots.address(slot) + HELPER_SLEEPS as u64, Ordering::Relaxed);
        }
        let registers = Registers {
            rbp: number.load(Ordering::Relaxed).into(),
            ..Registers::start_at(tracer.layout.serve, tracer.layout.commands)
        };
        let mut tables = tracer.tables();
        *tables.service(helper).ok_or(errno::ESRCH)? = Service::Serves(slot);
        sys::set_registers(helper, &registers)?;
        sys::continue_natively(helper)
    }

    /// Has a helper that looks at the page of `slot` run `routine`, as [`Tracer::run_routine`].
    pub(crate) fn run(
        &self,
        tracer: &Tracer,
        helper: Pid,
        slot: usize,
        routine: Routine,
        registers: &Registers,
    ) -> Result<u64, Errno> {
        // Among threads that run it would have to wait for its turn, where the kernel's thread is it need not.
        let (is_apart, is_burst) = {
            let mut tables = tracer.tables();
            let is_burst = tables.tell(helper, SOON) >= BURST;
            let is_apart = self.slots.running() == 0
                && tables.owners.slots_of(helper).iter().any(|slot| self.slots.is_spinning(*slot));
            if is_apart {
                tables.take_helper_apart(helper);
            } else {
                tables.bring_helper_home(helper).ok_or(errno::ESRCH)?;
            }
            (is_apart, is_burst)
        };
        let number = self.put(slot, routine, registers, if is_apart && is_burst { YIELDS } else { 0 })?;
        let is_asleep = self.slots.helper_sleeps(slot);
        let how = if is_asleep { HELP } else { GIVE_WAY };
        let asked = is_apart.then(|| self.ask_for_help(tracer, helper, how)).flatten();
        if is_asleep && asked.is_none() {
            self.wake(slot);
        }
        let result = self.await_answer(tracer, helper, slot, number, if is_apart { LOOKS } else { 1 });
        asked.inspect(|slot| self.slots.end_help(*slot));
        result
    }

    /// Has a thread let the helper of its address space run. Returns its slot.
    fn ask_for_help(&self, tracer: &Tracer, helper: Pid, how: u32) -> Option<usize> {
        let tables = tracer.tables();
        let mut slots = tables.owners.slots_of(helper).iter().copied();
        slots.find(|slot| self.slots.ask_for_help(*slot, how))
    }

    /// Waits for the result of the command `number`; `looks` is how often to look before others may run.
    fn await_answer(
        &self,
        tracer: &Tracer,
        helper: Pid,
        slot: usize,
        number: u32,
        looks: u32,
    ) -> Result<u64, Errno> {
        let (asked, mut is_woken) = (Instant::now(), false);
        loop {
            for _ in 0..looks {
                if let Some(result) = self.answer(number) {
                    return Ok(result);
                }
            }
            let waited = asked.elapsed();
            if !is_woken && waited >= WAKE_PATIENCE {
                self.wake(slot);
                is_woken = true;
            }
            if waited < PATIENCE {
                rustix::thread::sched_yield();
            } else {
                look_after(tracer, helper, slot)?;
                let pause = PAUSE.try_into().map_err(|_| errno::EINVAL)?;
                let _ = rustix::thread::clock_nanosleep_relative(ClockId::Monotonic, &pause);
            }
        }
    }

    /// Writes a command, after which the helper looks for another so often before it sleeps. Returns its number.
    fn put(&self, slot: usize, routine: Routine, r: &Registers, looks: u64) -> Result<u32, Errno> {
        let (number, command) = self.slots.commands(slot).ok_or(errno::EINVAL)?;
        let words = [
            routine.start,
            r.rax,
            r.rdi,
            r.rsi,
            r.rdx,
            r.r10,
            r.r8,
            r.r9,
            r.r12,
            r.r13,
            r.r14,
            r.r15,
            r.rbx,
            looks,
        ];
        for (word, value) in command.iter().zip(words) {
            word.store(value, Ordering::Relaxed);
        }
        // A position is positive; its high half is the number.
        let next = (self.last.load(Ordering::Relaxed) + 1) & i32::MAX.cast_unsigned();
        let next = next.max(1);
        self.last.store(next, Ordering::Relaxed);
        number.store(next, Ordering::Release);
        Ok(next)
    }

    fn wake(&self, slot: usize) {
        if let Some((number, _)) = self.slots.commands(slot) {
            let _ = futex::wake(number, futex::Flags::empty(), 1);
        }
    }

    /// Returns the result of the command `number`, if it was carried out.
    fn answer(&self, number: u32) -> Option<u64> {
        let position = rustix::fs::tell(&self.answers).ok()?;
        let [low @ .., a, b, c, d] = position.to_le_bytes();
        let result = i64::from(i32::from_le_bytes(low));
        (u32::from_le_bytes([a, b, c, d]) == number).then_some(result.cast_unsigned())
    }
}

/// Sees to it that a helper that does not answer is alive, and runs.
fn look_after(tracer: &Tracer, helper: Pid, slot: usize) -> Result<(), Errno> {
    let Some((pid, status)) = sys::wait(Some(helper), Wait::Poll)? else { return Ok(()) };
    let mut tables = tracer.tables();
    match tables.take_note(pid, status) {
        Some(Stop { event: 0, signal: signal @ (libc::SIGSEGV | libc::SIGBUS | libc::SIGSYS), .. })
            if sys::signal_info(helper)?.code > 0 =>
        {
            *tables.service(helper).ok_or(errno::ESRCH)? = Service::Paused(slot);
            Err(if signal == libc::SIGSYS { errno::EPERM } else { errno::EFAULT })
        }
        // For a signal from somebody else, which is not delivered.
        Some(_) => sys::continue_natively(helper),
        None => Err(errno::ESRCH),
    }
}
