//! The one host thread that traces all stub processes, and how it has helpers do things.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::thread::ThreadId;

use cloister_abi::{Errno, Registers, errno};
use cloister_sync::{Lock, LockGuard, class};
use rustix::event::EventfdFlags;
use rustix::net::RecvFlags;
use rustix::process::Pid;
use zerocopy::IntoBytes;

use super::batch::Batch;
use super::image::{Layout, Routine};
use super::start::{self, Started};
use super::sys::{self, Status, Wait};
use super::tables::{Entry, Request, Service, Stop, Tables};
use crate::systrap::Commands;

/// What all objects of the platform share.
#[derive(Debug)]
pub(crate) struct Tracer {
    /// The host thread that may make ptrace requests.
    home: ThreadId,
    /// Where things are in a stub process.
    pub(crate) layout: Layout,
    sender: OwnedFd,
    receiver: OwnedFd,
    wake: OwnedFd,
    tables: Lock<Tables, { class::PLATFORM }>,
    /// How helpers that need not be stopped are told what to do.
    commands: OnceLock<Commands>,
}

impl Tracer {
    /// Makes the calling host thread the tracer of the first stub process.
    pub(super) fn new(layout: Layout, started: Started) -> std::io::Result<Self> {
        let Started { pid, sender, receiver } = started;
        let tracer = Self {
            home: std::thread::current().id(),
            layout,
            sender,
            receiver,
            wake: rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            tables: Lock::new(Tables::new(pid)),
            commands: OnceLock::new(),
        };
        let stopped =
            sys::seize(pid).and_then(|()| sys::interrupt(pid)).and_then(|()| tracer.await_stop(pid));
        if let Err(error) = stopped {
            tracer.kill_all();
            return Err(to_io(error));
        }
        Ok(tracer)
    }

    /// Lets helpers take commands that their address spaces have threads for.
    pub(crate) fn set_commands(&self, commands: Commands) {
        // Done once, by the platform that makes the tracer.
        let _ = self.commands.set(commands);
    }

    /// Returns whether the calling host thread is the tracer.
    pub(crate) fn is_home(&self) -> bool {
        std::thread::current().id() == self.home
    }

    /// Gives access to the tables.
    pub(crate) fn tables(&self) -> LockGuard<'_, Tables> {
        self.tables.lock()
    }

    /// Returns a descriptor that polls readable when [`Tracer::take_requests`] has something to return.
    pub(crate) fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Leaves `request` for the tracer.
    pub(crate) fn request(&self, request: Request) {
        // The lock keeps the counter and the list in step.
        let mut tables = self.tables();
        tables.requests.push(request);
        // Fails only if the counter is full, and then it polls readable.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    /// Takes what other host threads want done.
    pub(crate) fn take_requests(&self) -> Vec<Request> {
        let mut tables = self.tables();
        if !tables.requests.is_empty() {
            let _ = rustix::io::read(&self.wake, &mut [0_u8; 8]);
        }
        std::mem::take(&mut tables.requests)
    }

    /// Takes the next guest thread that died by itself.
    pub(crate) fn take_gone(&self) -> Option<(Pid, Entry, i32)> {
        self.tables().gone.pop_front()
    }

    /// Takes the next stop, if there is one.
    pub(crate) fn poll_stop(&self) -> Option<Stop> {
        let mut tables = self.tables();
        if let Some(stop) = tables.stops.pop_front() {
            return Some(stop);
        }
        loop {
            let (pid, status) = sys::wait(None, Wait::Poll).ok().flatten()?;
            if let Some(stop) = tables.take_note(pid, status) {
                return Some(stop);
            }
        }
    }

    /// Waits until `pid` stops. What else comes up is kept for [`Tracer::poll_stop`].
    ///
    /// # Errors
    ///
    /// `ESRCH` if it is dead.
    pub(crate) fn await_stop(&self, pid: Pid) -> Result<Stop, Errno> {
        let mut tables = self.tables();
        if let Some(at) = tables.stops.iter().position(|stop| stop.pid == pid) {
            return tables.stops.remove(at).ok_or(errno::ESRCH);
        }
        loop {
            let Some((other, status)) = sys::wait(None, Wait::Block)? else { continue };
            match tables.take_note(other, status) {
                Some(stop) if stop.pid == pid => return Ok(stop),
                Some(stop) => tables.stops.push_back(stop),
                None if other == pid => return Err(errno::ESRCH),
                None => {}
            }
        }
    }

    /// Has a helper run `routine` with `registers`, of which `rip` is set here. Returns what it ends with in `rax`, of
    /// which the low half may be all that counts: the high half is then its sign.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the routine faults, `ESRCH` if the helper is dead, `EDEADLK` if the calling host thread is not the
    /// tracer (which could wait for the caller).
    pub(crate) fn run_routine(
        &self,
        helper: Pid,
        routine: Routine,
        registers: &Registers,
    ) -> Result<u64, Errno> {
        if !self.is_home() {
            return Err(errno::EDEADLK);
        }
        self.run_as(self.server(helper), helper, routine, registers)
    }

    /// Returns the slot whose page a helper looks at for commands. It may begin to, for which files are sent.
    fn server(&self, helper: Pid) -> Option<usize> {
        self.commands.get()?.server(self, helper)
    }

    /// Stops a helper, if it looks for commands, for requests that only stopped processes take.
    pub(crate) fn stop(&self, helper: Pid) -> Result<(), Errno> {
        if !self.is_home() {
            return Err(errno::EDEADLK);
        }
        let service = *self.tables().service(helper).ok_or(errno::ESRCH)?;
        if let Service::Serves(slot) = service {
            sys::interrupt(helper)?;
            self.await_stop(helper)?;
            *self.tables().service(helper).ok_or(errno::ESRCH)? = Service::Paused(slot);
        }
        Ok(())
    }

    /// Has a helper run `routine`, as [`Tracer::run_routine`], which looks at the page of a slot, or is stopped.
    fn run_as(
        &self,
        server: Option<usize>,
        helper: Pid,
        routine: Routine,
        registers: &Registers,
    ) -> Result<u64, Errno> {
        if let (Some(slot), Some(commands)) = (server, self.commands.get()) {
            return commands.run(self, helper, slot, routine, registers);
        }
        self.tables().bring_helper_home(helper).ok_or(errno::ESRCH)?;
        sys::set_registers(helper, &Registers { rip: routine.start, ..*registers })?;
        loop {
            sys::continue_natively(helper)?;
            let stop = self.await_stop(helper)?;
            match (stop.event, stop.signal) {
                (0, libc::SIGTRAP) => {
                    let registers = sys::registers(helper)?;
                    if registers.rip == routine.end {
                        return Ok(registers.rax);
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
    pub(crate) fn runs_without_calls(
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
    pub(crate) fn call(&self, helper: Pid, number: i64, arguments: [u64; 6]) -> Result<u64, Errno> {
        let [rdi, rsi, rdx, r10, r8, r9] = arguments;
        let registers =
            Registers { rax: number.cast_unsigned(), rdi, rsi, rdx, r10, r8, r9, ..helper_registers() };
        result_of(self.run_routine(helper, self.layout.call, &registers)?)
    }

    /// Has a helper map a file, and give an advice about the mapping (`madvise(2)`) if that is not 0; `arguments` are those
    /// of `mmap(2)` without the descriptor. If only the advice fails the file is mapped.
    pub(crate) fn map_file(
        &self,
        helper: Pid,
        file: BorrowedFd<'_>,
        arguments: [u64; 5],
        advice: i32,
    ) -> Result<u64, Errno> {
        if !self.is_home() {
            return Err(errno::EDEADLK);
        }
        let ([r12, r13, r14, r15, r9], rbx) = (arguments, u64::from(advice.cast_unsigned()));
        let rsi = self.layout.scratch;
        let registers = Registers { rsi, r12, r13, r14, r15, r9, rbx, ..helper_registers() };
        let server = self.server(helper);
        start::send_descriptor(self.sender.as_fd(), file)?;
        self.run_as(server, helper, self.layout.map_file, &registers).and_then(result_of).inspect_err(|_| {
            // Guest code that writes to the scratch page at the wrong moment can spoil the helper's recvmsg.
            // The message must not stay for the next helper, which would map the wrong file.
            let _ = rustix::net::recv(&self.receiver, &mut [0_u8; 1], RecvFlags::DONTWAIT);
        })
    }

    /// Has a helper, whose address space has never had guest threads, make the system calls of a list. Returns
    /// what the last of them did.
    pub(super) fn run_batch(&self, helper: Pid, batch: &Batch<'_>) -> Result<u64, Errno> {
        if !self.is_home() {
            return Err(errno::EDEADLK);
        }
        let contents = batch.contents();
        let contents = contents.as_bytes();
        if sys::write_memory(helper, self.layout.scratch, contents) != contents.len() {
            return Err(errno::ESRCH);
        }
        let result = batch
            .files()
            .iter()
            .try_for_each(|file| start::send_descriptor(self.sender.as_fd(), *file).map_err(Errno::from));
        let (r12, rbx) = batch.list();
        let registers = Registers { r12, rbx, ..helper_registers() };
        result
            .and_then(|()| self.run_as(None, helper, self.layout.calls, &registers))
            .and_then(result_of)
            .inspect_err(|_| {
                // What was not taken up must not stay, neither for this helper nor for the next.
                let _ = self.call(helper, libc::SYS_close, [1, 0, 0, 0, 0, 0]);
                while rustix::net::recv(&self.receiver, &mut [0_u8; 1], RecvFlags::DONTWAIT).is_ok() {}
            })
    }

    /// Has a helper make a process by `clone(2)` with `flags`; returns when it is stopped.
    pub(crate) fn clone_helper(&self, helper: Pid, flags: u64) -> Result<Pid, Errno> {
        let pid = self.call(helper, libc::SYS_clone, [flags, 0, 0, 0, 0, 0])?;
        self.await_new(pid)
    }

    /// As [`Tracer::clone_helper`], by the last call of a list, as [`Tracer::run_batch`].
    pub(super) fn clone_by_batch(&self, helper: Pid, batch: &Batch<'_>) -> Result<Pid, Errno> {
        self.await_new(self.run_batch(helper, batch)?)
    }

    /// Waits for a new process, whose id `clone(2)` returned, to stop.
    fn await_new(&self, pid: u64) -> Result<Pid, Errno> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(errno::EIO)?;
        self.await_stop(pid)?;
        Ok(pid)
    }

    /// Kills a guest thread; no trap of it will be handled.
    pub(crate) fn kill_thread(&self, thread: Pid) {
        let entry = self.tables().kill_thread(thread);
        drop(entry);
    }

    /// Kills all stub processes, and reaps them if the calling host thread can.
    pub(crate) fn kill_all(&self) {
        let (mut left, entries) = self.tables().kill_all();
        drop(entries);
        while self.is_home() && !left.is_empty() {
            match sys::wait(None, Wait::Block) {
                Ok(Some((pid, Status::Dead { .. }))) => _ = left.remove(&pid),
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
}

/// The registers that a routine starts with where it says nothing else.
fn helper_registers() -> Registers {
    Registers::start_at(0, 0)
}

/// Reads a register by which a system call reports its result.
fn result_of(rax: u64) -> Result<u64, Errno> {
    match rax.cast_signed() {
        error @ -4095..=-1 => Err(Errno::from_raw(i32::try_from(-error).unwrap_or(0))),
        _ => Ok(rax),
    }
}

/// Returns the error as the standard library's.
pub(crate) fn to_io(errno: Errno) -> std::io::Error {
    std::io::Error::from_raw_os_error(errno.raw())
}
