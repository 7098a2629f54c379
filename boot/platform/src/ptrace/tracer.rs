//! The one host thread that traces all stub processes: what it knows, and how it has helpers do things.

use std::collections::{HashMap, HashSet, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::ThreadId;

use cloister_abi::{Errno, Registers, errno};
use cloister_sync::{Lock, class};
use rustix::event::EventfdFlags;
use rustix::net::RecvFlags;
use rustix::process::{Pid, Signal};

use super::image::{Layout, Routine};
use super::placement::{Habit, Place, Placement};
use super::space::Space;
use super::start::{self, Started};
use super::sys::{self, Status, Wait};
use crate::TrapHandler;

/// What all objects of the platform share.
#[derive(Debug)]
pub(super) struct Tracer {
    /// The host thread that may make ptrace requests.
    home: ThreadId,
    /// Where things are in a stub process.
    pub(super) layout: Layout,
    sender: OwnedFd,
    receiver: OwnedFd,
    wake: OwnedFd,
    state: Lock<State, { class::PLATFORM }>,
}

/// A guest thread as the tracer knows it.
pub(super) struct Entry {
    /// Who gets its traps.
    pub(super) handler: Arc<dyn TrapHandler>,
    /// Its memory, which lives at least as long.
    pub(super) space: Arc<Space>,
    /// Whether it was resumed and has not stopped since; [`State::running`] counts these.
    is_running: bool,
    /// How it is used, for its placement.
    habit: Habit,
    /// Whether [`Thread::interrupt`](crate::Thread::interrupt) asked for a stop that has not come.
    pub(super) is_interrupt_wanted: bool,
}

impl Entry {
    /// Returns whether it was resumed and has not stopped since.
    pub(super) fn is_running(&self) -> bool {
        self.is_running
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("is_running", &self.is_running).finish_non_exhaustive()
    }
}

/// A ptrace stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    pub(super) pid: Pid,
    pub(super) signal: i32,
    pub(super) event: i32,
}

/// What another host thread wants done.
#[derive(Debug)]
pub(super) enum Request {
    /// [`Thread::resume`](crate::Thread::resume).
    Resume(Pid, Box<Registers>),
    /// [`Thread::interrupt`](crate::Thread::interrupt).
    Interrupt(Pid),
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// The guest threads that were not ended.
    threads: HashMap<Pid, Entry>,
    /// How many of them run.
    running: usize,
    /// The helpers of living address spaces, and where they were placed.
    helpers: HashMap<Pid, Place>,
    pub(super) placement: Placement,
    /// Processes that were killed and will be reaped.
    dying: HashSet<Pid>,
    /// Stops that came up while another process was waited for.
    stops: VecDeque<Stop>,
    /// Guest threads that died without being asked to, with the signal.
    gone: VecDeque<(Entry, i32)>,
    requests: Vec<Request>,
}

impl State {
    /// Takes note of a report; returns it if it is a stop.
    fn take_note(&mut self, pid: Pid, status: Status) -> Option<Stop> {
        match status {
            Status::Stopped { signal, event } => Some(Stop { pid, signal, event }),
            Status::Dead { signal } => {
                self.bury(pid, signal);
                None
            }
        }
    }

    /// Returns a guest thread that was not ended.
    pub(super) fn thread(&mut self, pid: Pid) -> Option<&mut Entry> {
        self.threads.get_mut(&pid)
    }

    /// Takes a guest thread into the tables, stopped, as its helper made it.
    pub(super) fn add_thread(&mut self, pid: Pid, handler: Arc<dyn TrapHandler>, space: Arc<Space>) {
        let place = self.helpers.get(&space.helper()).copied().unwrap_or(Place::Anywhere);
        let habit = Habit::new(place);
        let entry = Entry { handler, space, is_running: false, habit, is_interrupt_wanted: false };
        self.threads.insert(pid, entry);
    }

    fn remove_thread(&mut self, pid: Pid) -> Option<Entry> {
        let entry = self.threads.remove(&pid)?;
        self.running -= usize::from(entry.is_running);
        Some(entry)
    }

    /// Takes note that a stopped thread is about to run. Returns whether it is: it may be gone, or run already by a
    /// mistake of the kernel's.
    pub(super) fn note_resume(&mut self, pid: Pid) -> bool {
        match self.threads.get_mut(&pid) {
            Some(entry) if !entry.is_running => {
                entry.is_running = true;
                self.placement.resume(pid, &mut entry.habit, self.running == 0);
                self.running += 1;
                true
            }
            _ => false,
        }
    }

    /// Takes note that a running thread stopped; returns who handles that.
    pub(super) fn note_stop(&mut self, pid: Pid) -> Option<Arc<dyn TrapHandler>> {
        let entry = self.threads.get_mut(&pid)?;
        self.running -= usize::from(std::mem::take(&mut entry.is_running));
        entry.habit.note_stop();
        Some(Arc::clone(&entry.handler))
    }

    /// Lets threads go that compute while others want to run. Returns whether to look again soon.
    pub(super) fn let_go_busy(&mut self) -> bool {
        if self.running < 2 {
            return false;
        }
        if !self.placement.is_time_to_look() {
            return true;
        }
        let mut is_any_left = false;
        for (pid, entry) in self.threads.iter_mut().filter(|(_, entry)| entry.is_running) {
            self.placement.let_go_if_busy(*pid, &mut entry.habit);
            is_any_left |= !entry.habit.is_let_go();
        }
        is_any_left
    }

    /// Forgets a process that was reaped: its id may soon be another's.
    fn bury(&mut self, pid: Pid, signal: i32) {
        self.stops.retain(|stop| stop.pid != pid);
        self.dying.remove(&pid);
        if let Some(entry) = self.remove_thread(pid) {
            self.gone.push_back((entry, signal));
        }
        if self.helpers.remove(&pid).is_some() {
            // Nothing can be done in its address space any more.
            for (thread, entry) in &self.threads {
                if entry.space.helper() == pid {
                    kill(*thread);
                }
            }
        }
    }
}

impl Tracer {
    /// Makes the calling host thread the tracer of the first stub process.
    pub(super) fn new(layout: Layout, started: Started) -> std::io::Result<Self> {
        let Started { pid, sender, receiver } = started;
        let helpers = HashMap::from([(pid, Place::Anywhere)]);
        let state = State { helpers, ..State::default() };
        let tracer = Self {
            home: std::thread::current().id(),
            layout,
            sender,
            receiver,
            wake: rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            state: Lock::new(state),
        };
        sys::seize(pid).and_then(|()| sys::interrupt(pid)).map_err(to_io)?;
        tracer.await_stop(pid).map_err(to_io)?;
        Ok(tracer)
    }

    /// Returns whether the calling host thread is the tracer.
    pub(super) fn is_home(&self) -> bool {
        std::thread::current().id() == self.home
    }

    /// Gives access to the tables.
    pub(super) fn state(&self) -> cloister_sync::LockGuard<'_, State> {
        self.state.lock()
    }

    /// Returns a descriptor that polls readable when [`Tracer::take_requests`] has something to return.
    pub(super) fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Leaves `request` for the tracer.
    pub(super) fn request(&self, request: Request) {
        self.state().requests.push(request);
        // Fails only if the counter is full, and then it polls readable.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    /// Takes what other host threads want done.
    pub(super) fn take_requests(&self) -> Vec<Request> {
        let requests = std::mem::take(&mut self.state().requests);
        if !requests.is_empty() {
            let _ = rustix::io::read(&self.wake, &mut [0_u8; 8]);
        }
        requests
    }

    /// Takes the next guest thread that died by itself.
    pub(super) fn take_gone(&self) -> Option<(Entry, i32)> {
        self.state().gone.pop_front()
    }

    /// Takes the next stop, if there is one.
    pub(super) fn poll_stop(&self) -> Option<Stop> {
        let mut state = self.state();
        if let Some(stop) = state.stops.pop_front() {
            return Some(stop);
        }
        loop {
            let (pid, status) = sys::wait(None, Wait::Poll).ok().flatten()?;
            if let Some(stop) = state.take_note(pid, status) {
                return Some(stop);
            }
        }
    }

    /// Waits until `pid` stops. What else comes up is kept for [`Tracer::poll_stop`].
    ///
    /// # Errors
    ///
    /// `ESRCH` if it is dead.
    pub(super) fn await_stop(&self, pid: Pid) -> Result<Stop, Errno> {
        let mut state = self.state();
        if let Some(at) = state.stops.iter().position(|stop| stop.pid == pid) {
            return state.stops.remove(at).ok_or(errno::ESRCH);
        }
        loop {
            let Some((other, status)) = sys::wait(None, Wait::Block)? else { continue };
            match state.take_note(other, status) {
                Some(stop) if stop.pid == pid => return Ok(stop),
                Some(stop) => state.stops.push_back(stop),
                None if other == pid => return Err(errno::ESRCH),
                None => {}
            }
        }
    }

    /// Has a helper run `routine` with `registers`, of which `rip` is set here. Returns what it ends with.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the routine faults, `ESRCH` if the helper is dead, `EDEADLK` if the calling host thread is not the
    /// tracer (which could wait for the caller).
    pub(super) fn run_routine(
        &self,
        helper: Pid,
        routine: Routine,
        registers: &Registers,
    ) -> Result<Registers, Errno> {
        if !self.is_home() {
            return Err(errno::EDEADLK);
        }
        {
            let state = &mut *self.state();
            let place = state.helpers.get_mut(&helper).ok_or(errno::ESRCH)?;
            state.placement.bring_home(helper, place);
        }
        sys::set_registers(helper, &Registers { rip: routine.start, ..*registers })?;
        loop {
            sys::continue_natively(helper)?;
            let stop = self.await_stop(helper)?;
            match (stop.event, stop.signal) {
                (0, libc::SIGTRAP) => {
                    let registers = sys::registers(helper)?;
                    if registers.rip == routine.end {
                        return Ok(registers);
                    }
                }
                (0, libc::SIGSEGV | libc::SIGBUS) => return Err(errno::EFAULT),
                (0, libc::SIGSYS) => return Err(errno::EPERM),
                // A signal from somebody else: not delivered.
                _ => {}
            }
        }
    }

    /// Has a helper run from `registers`, and returns whether its first stop is a breakpoint that ends at `end`.
    pub(super) fn runs_without_calls(
        &self,
        helper: Pid,
        registers: &Registers,
        end: u64,
    ) -> Result<bool, Errno> {
        sys::set_registers(helper, registers)?;
        sys::continue_emulated(helper)?;
        let stop = self.await_stop(helper)?;
        Ok(stop.signal == libc::SIGTRAP && sys::registers(helper)?.rip == end)
    }

    /// Has a helper make a system call.
    pub(super) fn call(&self, helper: Pid, number: i64, arguments: [u64; 6]) -> Result<u64, Errno> {
        let [rdi, rsi, rdx, r10, r8, r9] = arguments;
        let registers =
            Registers { rax: number.cast_unsigned(), rdi, rsi, rdx, r10, r8, r9, ..helper_registers() };
        result_of(self.run_routine(helper, self.layout.call, &registers)?.rax)
    }

    /// Has a helper map a file; `arguments` are those of `mmap(2)` without the descriptor.
    pub(super) fn map_file(
        &self,
        helper: Pid,
        file: BorrowedFd<'_>,
        arguments: [u64; 5],
    ) -> Result<u64, Errno> {
        if !self.is_home() {
            return Err(errno::EDEADLK);
        }
        let [r12, r13, r14, r15, rbx] = arguments;
        let registers = Registers { rsi: self.layout.scratch, r12, r13, r14, r15, rbx, ..helper_registers() };
        start::send_descriptor(self.sender.as_fd(), file)?;
        let ended = self.run_routine(helper, self.layout.map_file, &registers);
        match ended {
            Ok(ended) if ended.rbp == 1 => result_of(ended.rax),
            other => {
                // Guest code that writes to the scratch page at the wrong moment can spoil the helper's recvmsg.
                // The message must not stay for the next helper, which would map the wrong file.
                let _ = rustix::net::recv(&self.receiver, &mut [0_u8; 1], RecvFlags::DONTWAIT);
                Err(other.err().unwrap_or(errno::EIO))
            }
        }
    }

    /// Has a helper make a process by `clone(2)` with `flags`; returns when it is stopped.
    pub(super) fn clone_helper(&self, helper: Pid, flags: u64) -> Result<Pid, Errno> {
        let pid = self.call(helper, libc::SYS_clone, [flags, 0, 0, 0, 0, 0])?;
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(errno::EIO)?;
        self.await_stop(pid)?;
        Ok(pid)
    }

    /// Takes `helper`, which `of` made, into the tables.
    pub(super) fn add_helper(&self, helper: Pid, of: Pid) {
        let mut state = self.state();
        let place = state.helpers.get(&of).copied().unwrap_or(Place::Anywhere);
        state.helpers.insert(helper, place);
    }

    /// Kills a helper, and thereby its address space if no thread is left in it.
    pub(super) fn kill_helper(&self, helper: Pid) {
        let mut state = self.state();
        if state.helpers.remove(&helper).is_some() {
            state.dying.insert(helper);
            kill(helper);
        }
    }

    /// Kills a guest thread; no trap of it will be handled.
    pub(super) fn kill_thread(&self, thread: Pid) {
        let mut state = self.state();
        let Some(entry) = state.remove_thread(thread) else { return };
        state.stops.retain(|stop| stop.pid != thread);
        state.dying.insert(thread);
        kill(thread);
        // What it holds may come back to the tables when it is dropped.
        drop(state);
        drop(entry);
    }

    /// Kills all stub processes and reaps them.
    pub(super) fn kill_all(&self) {
        let mut state = self.state();
        let threads = std::mem::take(&mut state.threads);
        state.running = 0;
        let gone = std::mem::take(&mut state.gone);
        let mut left: HashSet<Pid> = std::mem::take(&mut state.dying);
        for pid in threads.keys().copied().chain(std::mem::take(&mut state.helpers).into_keys()) {
            kill(pid);
            left.insert(pid);
        }
        while self.is_home() && !left.is_empty() {
            match sys::wait(None, Wait::Block) {
                Ok(Some((pid, Status::Dead { .. }))) => _ = left.remove(&pid),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        drop(state);
        drop((threads, gone));
    }
}

/// The registers that a routine starts with where it says nothing else.
fn helper_registers() -> Registers {
    Registers::start_at(0, 0)
}

/// Sends `SIGKILL`. Only to a process that was not reaped yet, whose id is therefore its own.
fn kill(pid: Pid) {
    // It may be dying already.
    let _ = rustix::process::kill_process(pid, Signal::KILL);
}

/// Reads a register by which a system call reports its result.
fn result_of(rax: u64) -> Result<u64, Errno> {
    match rax.cast_signed() {
        error @ -4095..=-1 => Err(Errno::from_raw(i32::try_from(-error).unwrap_or(0))),
        _ => Ok(rax),
    }
}

/// Returns the error as the standard library's.
pub(super) fn to_io(errno: Errno) -> std::io::Error {
    std::io::Error::from_raw_os_error(errno.raw())
}
