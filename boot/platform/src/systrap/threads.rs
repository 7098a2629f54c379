//! Guest threads: made, stopped, resumed, ended.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloister_abi::{Errno, Registers, errno};
use cloister_sync::{Lock, LockGuard, class};
use hashbrown::HashMap;
use rustix::process::{Pid, Signal};

use super::Patching;
use super::call_sites::{self, At};
use super::copy::Copier;
use super::filter::ARCHITECTURE;
use super::owners::Resting;
use super::slot::{self, FpuPlace, Frame, Given, Report, Slots};
use super::window;
use crate::ptrace::filter::CLONE_UNTRACED_FLAGS;
use crate::ptrace::placement::{Habit, Place, Placement};
use crate::ptrace::run::sanitised;
use crate::ptrace::space::{Space, Threads};
use crate::ptrace::sys;
use crate::ptrace::tables::Request;
use crate::ptrace::thread::Meter;
use crate::ptrace::tracer::Tracer;
use crate::{CpuTime, Exception, FpuState, Protection, Thread, Trap, TrapHandler};

/// The host signal that stops a running thread.
pub(super) const INTERRUPT: Signal = Signal::USR1;
/// How long a running thread has to stop before it is asked again, and how often it is asked. Then it is killed: it has
/// blocked the signal, by a frame of its own making for `rt_sigreturn(2)`. Several times, so that a sandbox that was
/// frozen meanwhile loses nobody; and much more often if the host has not let it run, which a busy one may not.
const INTERRUPT_PATIENCE: Duration = Duration::from_millis(500);
const INTERRUPTS: u32 = 4;
const INTERRUPTS_OF_IDLE: u32 = 120;
/// What a thread uses of a processor that has run: a signal comes before anything else.
const HAS_RUN: Duration = Duration::from_millis(10);
/// How long a thread at a call site has to come with a frame, or to save its registers, before it is killed: nothing but
/// guest code of its address space can keep it from that.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often to look for that before others may run: somewhat longer than saving takes.
const LOOKS: u32 = 200;
/// The same for one that has ended, to be another: making a new one takes little longer.
const REST_PATIENCE: Duration = Duration::from_micros(50);
/// `SYS_SECCOMP`: the `si_code` of a `SIGSYS` by a filter.
const SYS_SECCOMP: i32 = 1;
/// Where the legacy `vsyscall` page is.
const VSYSCALL_PAGE: u64 = 0xffff_ffff_ff60_0000;
/// `SI_KERNEL`: the `si_code` of a general protection fault.
const SI_KERNEL: i32 = 0x80;

/// The guest threads of a sandbox.
#[derive(Debug)]
pub(super) struct GuestThreads {
    tracer: Arc<Tracer>,
    slots: Arc<Slots>,
    /// Where the filter of guest threads is in stub processes.
    filter: u64,
    patching: Patching,
    copier: Copier,
    table: Lock<Table, { class::PLATFORM }>,
}

#[derive(Debug, Default)]
struct Table {
    threads: HashMap<Pid, State>,
    /// Those that run or begin, with their slots: what is looked at for traps.
    running: Vec<Running>,
    placement: Placement,
    /// The interruptions that may not have come.
    asked: Vec<Asked>,
    /// When to look for windows that can be closed, if any are open.
    windows: Option<Instant>,
}

/// An interruption that a running thread was asked for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    pid: Pid,
    last: Instant,
    times: u32,
    /// What it had used of processors before.
    used: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    pid: Pid,
    slot: usize,
    /// Whether it may keep a processor of its own busy.
    is_let_go: bool,
}

/// Where a guest thread is.
struct State {
    slot: usize,
    phase: Phase,
    /// Who gets its traps.
    handler: Arc<dyn TrapHandler>,
    /// Its memory.
    space: Arc<Space>,
    /// How it is used, for its placement.
    habit: Habit,
    /// Whether [`Thread::interrupt`] asked for a stop that has not come.
    is_interrupt_wanted: bool,
    /// What it was given when it last went on from a patched call site.
    given: Given,
}

#[derive(Debug)]
enum Phase {
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

/// What the kernel is to be told.
struct Told {
    trap: Trap,
    registers: Registers,
    handler: Arc<dyn TrapHandler>,
}

impl Table {
    /// Takes note that a stopped thread is about to run.
    fn run(&mut self, pid: Pid) {
        let Some(state) = self.threads.get_mut(&pid) else { return };
        state.phase = Phase::Runs;
        self.placement.resume(pid, &mut state.habit, self.running.is_empty());
        self.running.push(Running { pid, slot: state.slot, is_let_go: state.habit.is_let_go() });
    }
}

impl GuestThreads {
    pub(super) fn new(tracer: Arc<Tracer>, slots: Arc<Slots>, filter: u64, patching: Patching) -> Self {
        Self {
            tracer,
            slots,
            filter,
            patching,
            copier: Copier::default(),
            table: Lock::new(Table::default()),
        }
    }

    pub(super) fn slots(&self) -> &Slots {
        &self.slots
    }

    pub(super) fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// Settles the calling thread on its present processor, and guest threads on another.
    pub(super) fn settle(&self) {
        let placement = {
            let mut tables = self.tracer.tables();
            tables.placement.settle();
            tables.apart = tables.placement.apart();
            tables.placement.apart()
        };
        self.table().placement = placement;
    }

    fn table(&self) -> LockGuard<'_, Table> {
        self.table.lock()
    }

    /// Returns how many processors the threads that run guest code can keep busy.
    pub(super) fn busy_processors(&self) -> usize {
        let table = self.table();
        let let_go = table.running.iter().filter(|thread| thread.is_let_go).count();
        let_go + usize::from(let_go < table.running.len())
    }

    /// Lets threads go that compute while others want to run. Returns whether to look again soon.
    pub(super) fn let_go_busy(&self) -> bool {
        let mut table = self.table();
        let Table { threads, running, placement, .. } = &mut *table;
        if running.len() < 2 {
            return false;
        }
        if !placement.is_time_to_look() {
            return true;
        }
        let mut is_any_left = false;
        for Running { pid, is_let_go, .. } in running {
            if let Some(state) = threads.get_mut(pid) {
                placement.let_go_if_busy(*pid, &mut state.habit);
                *is_let_go = state.habit.is_let_go();
                is_any_left |= !*is_let_go;
            }
        }
        is_any_left
    }

    /// Takes a thread that trapped, if there is one.
    pub(super) fn take_trapped(&self) -> Option<Pid> {
        let mut table = self.table();
        let at = table.running.iter().position(|thread| self.slots.is_trapped(thread.slot))?;
        let trapped = table.running.swap_remove(at);
        self.slots.set_running(table.running.len());
        Some(trapped.pid)
    }

    /// Returns whether a thread has trapped.
    pub(super) fn is_any_trapped(&self) -> bool {
        self.table().running.iter().any(|thread| self.slots.is_trapped(thread.slot))
    }

    /// Hands the trap of a thread to the kernel.
    pub(super) fn handle(&self, pid: Pid) {
        match self.look_at(pid) {
            Ok(Some(Told { trap, registers, handler })) => {
                handler.on_trap(trap, &registers);
                self.copier.clear();
                let table = self.table();
                if let Some(State { slot, phase: Phase::Stopped(_) | Phase::Calls { .. }, .. }) =
                    table.threads.get(&pid)
                {
                    self.slots.park(*slot);
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
        table.run(pid);
        self.slots.release(slot);
        Ok(None)
    }

    /// Returns what has guest threads copy, which only the host thread can that handles their traps.
    fn copier(&self) -> Option<&Copier> {
        self.tracer.is_home().then_some(&self.copier)
    }

    /// Returns whether no thread of an address space runs.
    fn is_quiet(&self, space: &Arc<Space>) -> bool {
        let table = self.table();
        let mut running = table.running.iter().filter_map(|running| table.threads.get(&running.pid));
        !running.any(|state| Arc::ptr_eq(&state.space, space))
    }

    fn resume(&self, pid: Pid, registers: &Registers) {
        let registers = sanitised(registers);
        let mut table = self.table();
        let Some(state) = table.threads.get_mut(&pid) else { return };
        let slot = state.slot;
        match &mut state.phase {
            Phase::Begins { resume, .. } => *resume = Some(Box::new(registers)),
            Phase::Runs => {}
            Phase::Stopped(frame) => {
                self.load(&state.space, slot, *frame, &registers);
                table.run(pid);
                self.slots.release(slot);
            }
            Phase::Calls { registers: call, is_fpu_set: false } if is_return(call, &registers) => {
                self.copier.clear();
                self.slots.set_result(slot, registers.rax);
                state.given = Given::Result;
                table.run(pid);
                self.slots.release(slot);
            }
            Phase::Calls { registers: call, is_fpu_set } if can_go_on(call, &registers) => {
                self.copier.clear();
                state.given = if *is_fpu_set { Given::All } else { Given::Registers };
                let resume = call_sites::resume_at(&state.space, registers.rip);
                self.slots.give(slot, &registers, resume, state.given);
                table.run(pid);
                self.slots.release(slot);
            }
            Phase::Calls { .. } => {
                drop(table);
                if self.stopped(pid).is_ok() {
                    self.resume(pid, &registers);
                }
            }
        }
    }

    fn interrupt(&self, pid: Pid) {
        let mut table = self.table();
        let Table { threads, asked, .. } = &mut *table;
        let Some(state) = threads.get_mut(&pid) else { return };
        match state.phase {
            // It has no stack for a handler yet, and will be told when it has.
            Phase::Begins { ref resume, .. } => state.is_interrupt_wanted = resume.is_some(),
            Phase::Runs => {
                if !std::mem::replace(&mut state.is_interrupt_wanted, true) {
                    asked.retain(|asked| asked.pid != pid);
                    asked.push(Asked { pid, last: Instant::now(), times: 1, used: used(pid) });
                }
                // The table has it, so it was not reaped, and the number is its own.
                let _ = rustix::process::kill_process(pid, INTERRUPT);
            }
            Phase::Stopped(_) | Phase::Calls { .. } => {}
        }
    }

    /// Asks threads again that do not stop when they should, and kills those that never do. Returns when to do so again.
    pub(super) fn insist(&self) -> Option<Duration> {
        let mut table = self.table();
        let Table { threads, asked, .. } = &mut *table;
        asked.retain_mut(|asked| {
            let is_wanted = |state: &State| state.is_interrupt_wanted && matches!(state.phase, Phase::Runs);
            if !threads.get(&asked.pid).is_some_and(is_wanted) {
                return false;
            }
            if asked.last.elapsed() >= INTERRUPT_PATIENCE {
                let has_run = used(asked.pid).saturating_sub(asked.used) >= HAS_RUN;
                let most = if has_run { INTERRUPTS } else { INTERRUPTS_OF_IDLE };
                let signal = if asked.times < most { INTERRUPT } else { Signal::KILL };
                *asked = Asked { last: Instant::now(), times: asked.times + 1, ..*asked };
                // As in `interrupt`, the number is the thread's own.
                let _ = rustix::process::kill_process(asked.pid, signal);
            }
            true
        });
        (!asked.is_empty()).then_some(INTERRUPT_PATIENCE)
    }

    /// Closes windows that are not used. Returns when to do so again.
    pub(super) fn close_windows(&self) -> Option<Duration> {
        let spaces: Vec<_> = {
            let mut table = self.table();
            let wait = table.windows?.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                return Some(wait);
            }
            table.windows = None;
            table.threads.values().map(|state| Arc::clone(&state.space)).collect()
        };
        let is_open = |space: &Arc<Space>| space.window().close_idle(space);
        if spaces.iter().filter(|space| is_open(space)).count() > 0 {
            self.table().windows = Some(window::next_look());
        }
        None
    }

    /// Does what other host threads want done.
    pub(super) fn take_requests(&self) {
        for request in self.tracer.take_requests() {
            match request {
                Request::Resume(pid, registers) => self.resume(pid, &registers),
                Request::Interrupt(pid) => self.interrupt(pid),
            }
        }
    }

    /// Takes note of processes that died. Returns whether any guest thread did.
    pub(super) fn reap(&self) -> bool {
        while let Some(stop) = self.tracer.poll_stop() {
            if self.tracer.tables().is_serving(stop.pid) {
                // For a signal from somebody else, which is not delivered.
                let _ = sys::continue_natively(stop.pid);
            }
        }
        let mut is_any = false;
        while let Some((pid, entry, signal)) = self.tracer.take_gone() {
            is_any = true;
            self.forget(pid);
            entry.handler.on_trap(Trap::Gone { signal }, &Registers::default());
        }
        let released = self.tracer.tables().owners.take_released();
        for slot in released {
            // One that can't be cleared is not used again.
            if self.slots.clear(slot).is_ok() {
                self.tracer.tables().owners.give_back(slot);
            }
        }
        is_any
    }

    /// Forgets a thread. What is returned may be the last to know of its address space, which comes back here: it is to
    /// be dropped without the lock.
    fn forget(&self, pid: Pid) -> Option<State> {
        self.copier.clear();
        let mut table = self.table();
        table.running.retain(|thread| thread.pid != pid);
        table.threads.remove(&pid)
    }

    /// Ends a thread. If it is stopped, and not the last of its address space, its process rests, to be another.
    fn end(&self, pid: Pid) {
        let Some(State { slot, phase, habit, .. }) = self.forget(pid) else {
            return self.tracer.kill_thread(pid);
        };
        let is_wanted = self.tracer.tables().owners.has_company(pid);
        let frame = match phase {
            Phase::Stopped(frame) if is_wanted => Some(frame),
            Phase::Calls { .. } if is_wanted => self.unfold(slot, REST_PATIENCE).ok(),
            _ => None,
        };
        if let Some(frame) = frame {
            let entry = {
                let mut tables = self.tracer.tables();
                let thread = Resting { pid, slot, frame, habit };
                let is_resting = tables.has_helper(pid) && tables.owners.rest(thread).is_ok();
                is_resting.then(|| tables.forget_thread(pid))
            };
            if entry.is_some() {
                self.slots.park(slot);
                return;
            }
        }
        self.tracer.kill_thread(pid);
    }

    /// Makes a thread of an address space from one that rests, if there is one.
    fn rouse(
        self: &Arc<Self>,
        space: &Arc<Space>,
        fpu: Option<&FpuState>,
        handler: &Arc<dyn TrapHandler>,
    ) -> Option<Arc<dyn Thread>> {
        let Resting { pid, slot, frame, habit } = self.tracer.tables().owners.take_resting(space.helper())?;
        let fpu = fpu.cloned().unwrap_or_else(FpuState::initial);
        let is_as_it_was =
            self.slots.is_trapped(slot) && self.slots.set_fpu(slot, FpuPlace::Frame(frame), &fpu).is_ok();
        let mut tables = self.tracer.tables();
        if !is_as_it_was {
            tables.kill_process(pid);
            return None;
        }
        tables.add_thread(pid, Arc::clone(handler), Arc::clone(space));
        drop(tables);
        let (handler, space) = (Arc::clone(handler), Arc::clone(space));
        let phase = Phase::Stopped(frame);
        let state =
            State { slot, phase, handler, space, habit, is_interrupt_wanted: false, given: Given::Result };
        self.table().threads.insert(pid, state);
        Some(Arc::new(GuestThread { threads: Arc::clone(self), pid, meter: Meter::from_now(pid) }))
    }

    /// Returns the slot and the frame of a stopped thread. One that is at a call site is made to come with a frame.
    ///
    /// # Errors
    ///
    /// `ESRCH` if it runs, is gone, or does not come: then it is killed.
    fn stopped(&self, pid: Pid) -> Result<(usize, Frame), Errno> {
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
    fn saved(&self, pid: Pid) -> Result<(usize, FpuPlace), Errno> {
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
    fn unfold(&self, slot: usize, patience: Duration) -> Result<Frame, Errno> {
        self.copier.clear();
        self.slots.unfold(slot);
        wait_until(patience, || self.slots.is_unfolded(slot))?;
        Ok(self.slots.report(slot)?.frame)
    }

    /// Has a stopped thread go on with `registers`.
    fn load(&self, space: &Space, slot: usize, frame: Frame, registers: &Registers) {
        let rip = call_sites::resume_at(space, registers.rip);
        self.slots.set_registers(slot, frame, &Registers { rip, ..*registers });
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

    /// Takes a slot for a thread of an address space, and has it mapped there. Returns its number.
    fn take_slot(&self, space: &Space) -> Result<usize, Errno> {
        if !self.tracer.is_home() {
            return Err(errno::EDEADLK);
        }
        let (slot, is_mapped) = {
            let mut tables = self.tracer.tables();
            // Only who lives can be buried, and its slots released.
            tables.bring_helper_home(space.helper()).ok_or(errno::ESRCH)?;
            tables.owners.take(space.helper(), self.slots.count()).ok_or(errno::EAGAIN)?
        };
        if !is_mapped {
            self.map_slot(space, slot)?;
        }
        self.slots.prepare(slot, &self.tracer.layout);
        Ok(slot)
    }

    /// Maps a slot that was taken, or gives it back.
    fn map_slot(&self, space: &Space, slot: usize) -> Result<(), Errno> {
        let start = self.slots.address(slot);
        let range = start..start + slot::BYTES as u64;
        let protection = Protection::READ | Protection::WRITE;
        let mapped = space.map_file_here(&range, protection, self.slots.file(), Slots::offset(slot));
        // One that can be mapped and neither advised nor unmapped stays its space's, unused.
        if mapped.is_err() && space.call(libc::SYS_munmap, [start, slot::BYTES as u64, 0, 0, 0, 0]).is_ok() {
            self.tracer.tables().owners.give_back_unmapped(slot, space.helper());
        }
        mapped
    }
}

impl Threads for GuestThreads {
    fn read(&self, space: &Space, address: u64, into: &mut [u8]) -> Option<usize> {
        self.copier().and_then(|copier| copier.read(&self.slots, space.helper(), address, into))
    }

    fn write(&self, space: &Space, address: u64, from: &[u8]) -> Option<usize> {
        self.copier().and_then(|copier| copier.write(&self.slots, space.helper(), address, from))
    }

    fn write_file(&self, space: &Space, address: u64, file: BorrowedFd<'_>, part: Range<u64>) -> usize {
        let Some(copier) = self.copier() else { return 0 };
        let (copied, is_open) = window::copy(copier, &self.slots, space, address, file, part);
        if is_open {
            self.table().windows.get_or_insert_with(window::next_look);
        }
        copied
    }

    fn spawn(
        self: Arc<Self>,
        space: Arc<Space>,
        fpu: Option<&FpuState>,
        handler: Arc<dyn TrapHandler>,
    ) -> Result<Arc<dyn Thread>, Errno> {
        if let Some(thread) = self.rouse(&space, fpu, &handler) {
            return Ok(thread);
        }
        let slot = self.take_slot(&space)?;
        let helper = space.helper();
        let pid = self.tracer.clone_helper(helper, CLONE_UNTRACED_FLAGS).inspect_err(|_| {
            self.tracer.tables().owners.give_back_mapped(slot, helper);
        })?;
        {
            let mut tables = self.tracer.tables();
            tables.owners.assign(slot, helper, pid);
            tables.add_thread(pid, Arc::clone(&handler), Arc::clone(&space));
        }
        let registers = Registers {
            rbx: self.slots.address(slot),
            rbp: self.filter,
            ..Registers::start_at(self.tracer.layout.thread, 0)
        };
        let phase = Phase::Begins { fpu: fpu.cloned(), resume: None };
        {
            let mut table = self.table();
            let mut habit = Habit::new(Place::Anywhere);
            table.placement.resume(pid, &mut habit, true);
            let state = State {
                slot,
                phase,
                handler,
                space,
                habit,
                is_interrupt_wanted: false,
                given: Given::Result,
            };
            table.threads.insert(pid, state);
            table.running.push(Running { pid, slot, is_let_go: false });
        }
        if let Err(error) = sys::set_registers(pid, &registers).and_then(|()| sys::detach(pid)) {
            self.forget(pid);
            self.tracer.kill_thread(pid);
            return Err(error);
        }
        Ok(Arc::new(GuestThread { threads: self, pid, meter: Meter::new(pid) }))
    }
}

/// Returns the registers as the `syscall` instruction leaves them, for the call whose number is in `rax`.
fn as_call(registers: &Registers) -> Registers {
    /// The resume flag, which the processor sets in the frame of a fault.
    const RF: u64 = 1 << 16;
    let eflags = registers.eflags & !RF;
    Registers { rcx: registers.rip, r11: eflags, orig_rax: registers.rax, eflags, ..*registers }
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

/// Returns what a report means to the kernel: `None` if nothing.
pub(super) fn trap_of(report: &Report, is_interrupt_wanted: bool) -> Option<(Trap, Registers)> {
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

/// Returns what a thread has used of processors.
fn used(pid: Pid) -> Duration {
    sys::cpu_time(pid).map_or(Duration::ZERO, CpuTime::total)
}

/// A handle of a guest thread.
#[derive(Debug)]
struct GuestThread {
    threads: Arc<GuestThreads>,
    pid: Pid,
    meter: Meter,
}

impl GuestThread {
    /// Returns the process, which may be another thread when this one has ended.
    fn pid(&self) -> Option<Pid> {
        (!self.meter.has_ended()).then_some(self.pid)
    }
}

impl Thread for GuestThread {
    fn resume(&self, registers: &Registers) {
        let Some(pid) = self.pid() else { return };
        if self.threads.tracer.is_home() {
            self.threads.resume(pid, registers);
        } else {
            self.threads.tracer.request(Request::Resume(pid, Box::new(*registers)));
        }
    }

    fn fpu(&self) -> Result<FpuState, Errno> {
        let pid = self.pid().ok_or(errno::ESRCH)?;
        if let Some(State { phase: Phase::Begins { fpu, .. }, .. }) = self.threads.table().threads.get(&pid) {
            return Ok(fpu.clone().unwrap_or_else(FpuState::initial));
        }
        let (slot, place) = self.threads.saved(pid)?;
        self.threads.slots.fpu(slot, place)
    }

    fn fpu_form(&self) -> Result<FpuState, Errno> {
        self.pid().ok_or(errno::ESRCH)?;
        Ok(self.threads.slots.fpu_form())
    }

    fn set_fpu(&self, state: &FpuState) -> Result<(), Errno> {
        let pid = self.pid().ok_or(errno::ESRCH)?;
        if let Some(State { phase: Phase::Begins { fpu, .. }, .. }) =
            self.threads.table().threads.get_mut(&pid)
        {
            *fpu = Some(state.clone());
            return Ok(());
        }
        let mut table = self.threads.table();
        let thread = table.threads.get_mut(&pid).ok_or(errno::ESRCH)?;
        match &mut thread.phase {
            Phase::Stopped(frame) => self.threads.slots.set_fpu(thread.slot, FpuPlace::Frame(*frame), state),
            Phase::Calls { is_fpu_set, .. } => {
                self.threads.slots.set_fpu(thread.slot, FpuPlace::Slot, state)?;
                *is_fpu_set = true;
                Ok(())
            }
            _ => Err(errno::ESRCH),
        }
    }

    fn interrupt(&self) {
        let Some(pid) = self.pid() else { return };
        if self.threads.tracer.is_home() {
            self.threads.interrupt(pid);
        } else {
            self.threads.tracer.request(Request::Interrupt(pid));
        }
    }

    fn exit(&self) {
        if self.meter.end(&self.threads.tracer) {
            self.threads.end(self.pid);
        }
    }

    fn cpu_time(&self) -> CpuTime {
        self.meter.read(&self.threads.tracer)
    }
}
