//! How threads are made, and end.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use cloister_abi::{Errno, Registers, errno};
use rustix::process::Pid;

use super::GuestThreads;
use super::guest_thread::GuestThread;
use super::table::{Phase, Running, State, Turn};
use crate::ptrace::filter::CLONE_UNTRACED_FLAGS;
use crate::ptrace::placement::{Habit, Place};
use crate::ptrace::space::{Space, Threads};
use crate::ptrace::sys;
use crate::ptrace::tables::Service;
use crate::ptrace::thread::Meter;
use crate::systrap::owners::Resting;
use crate::systrap::slot::{self, FpuPlace, Given, Slots};
use crate::systrap::window;
use crate::{Backing, FpuState, Mapping, Protection, Thread, Trap, TrapHandler};

/// How long a thread that has ended has to come with a frame, to be another: making a new one takes little longer.
const REST_PATIENCE: Duration = Duration::from_micros(50);

impl GuestThreads {
    /// Takes note of processes that died. Returns whether any guest thread did.
    pub(in crate::systrap) fn reap(&self) -> bool {
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
    pub(super) fn forget(&self, pid: Pid) -> Option<State> {
        self.copier.clear();
        let mut table = self.table();
        table.running.retain(|thread| thread.pid != pid);
        table.threads.remove(&pid)
    }

    /// Ends a thread. If it is stopped, and not the last of its address space, its process rests, to be another.
    pub(super) fn end(&self, pid: Pid) {
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
    pub(super) fn rouse(
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

    /// Makes a process to be a thread of an address space, which is stopped. Returns also its slot.
    fn make(&self, space: &Space) -> Result<(usize, Pid), Errno> {
        if !self.tracer.is_home() {
            return Err(errno::EDEADLK);
        }
        let helper = space.helper();
        let (slot, is_mapped) = {
            let mut tables = self.tracer.tables();
            // Only who lives can be buried, and its slots released.
            tables.bring_helper_home(helper).ok_or(errno::ESRCH)?;
            tables.owners.take(helper, self.slots.count()).ok_or(errno::EAGAIN)?
        };
        // Nobody sees it before the thread runs.
        self.slots.prepare(slot, &self.tracer.layout);
        if !is_mapped && !space.is_inhabited() {
            return Ok((slot, self.make_first(space, slot)?));
        }
        if !is_mapped {
            self.map_slot(space, slot)?;
        }
        let pid = self.tracer.clone_helper(helper, CLONE_UNTRACED_FLAGS).inspect_err(|_| {
            self.tracer.tables().owners.give_back_mapped(slot, helper);
        })?;
        Ok((slot, pid))
    }

    /// Makes the process that is to be the first thread of an address space. Its slot, which was taken, is mapped at the same
    /// stop, with the helper's page of commands, which belongs to this slot.
    fn make_first(&self, space: &Space, slot: usize) -> Result<Pid, Errno> {
        let at = |start: u64, length: usize, protection, offset| {
            let backing = Backing::Shared { file: self.slots.file(), offset };
            Mapping { range: start..start + length as u64, protection, backing }
        };
        let read_write = Protection::READ | Protection::WRITE;
        let mappings = [
            at(self.slots.address(slot), slot::BYTES, read_write, Slots::offset(slot)),
            at(
                self.tracer.layout.commands,
                slot::COMMANDS_BYTES,
                Protection::READ,
                self.slots.commands_offset(slot),
            ),
        ];
        let made = space.map_here_and_clone(&mappings, CLONE_UNTRACED_FLAGS);
        let mut tables = self.tracer.tables();
        match made {
            Ok(_) => {
                if let Some(service) = tables.service(space.helper()) {
                    *service = Service::Paused(slot);
                }
            }
            Err(_) => {
                drop(tables);
                self.unmap(space, slot, &mappings);
            }
        }
        made
    }

    /// Maps a slot that was taken, or gives it back.
    fn map_slot(&self, space: &Space, slot: usize) -> Result<(), Errno> {
        let start = self.slots.address(slot);
        let range = start..start + slot::BYTES as u64;
        let protection = Protection::READ | Protection::WRITE;
        let (file, offset) = (self.slots.file(), Slots::offset(slot));
        space.map_file_here(&range, protection, libc::MAP_SHARED, file, offset).inspect_err(|_| {
            self.unmap(
                space,
                slot,
                &[Mapping { range, protection, backing: Backing::Shared { file, offset } }],
            );
        })
    }

    /// Gives a slot back that may be mapped, with what else may be.
    fn unmap(&self, space: &Space, slot: usize, mappings: &[Mapping<'_>]) {
        let is_unmapped = mappings.iter().all(|Mapping { range, .. }| {
            space.call(libc::SYS_munmap, [range.start, range.end - range.start, 0, 0, 0, 0]).is_ok()
        });
        // One that can be mapped and neither advised nor unmapped stays its space's, unused.
        if is_unmapped {
            self.tracer.tables().owners.give_back_unmapped(slot, space.helper());
        }
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
        let (slot, pid) = self.make(&space)?;
        {
            let mut tables = self.tracer.tables();
            tables.owners.assign(slot, space.helper(), pid);
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
            table.running.push(Running { pid, slot, is_let_go: false, turn: Turn::Now });
        }
        if let Err(error) = sys::set_registers(pid, &registers).and_then(|()| sys::detach(pid)) {
            self.forget(pid);
            self.tracer.kill_thread(pid);
            return Err(error);
        }
        Ok(Arc::new(GuestThread { threads: self, pid, meter: Meter::new(pid) }))
    }
}
