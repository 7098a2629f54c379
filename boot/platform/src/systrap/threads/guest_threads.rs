//! The guest threads of a sandbox: which of them run, and where.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cloister_sync::{Lock, LockGuard, class};
use rustix::process::Pid;

use super::table::{Running, Table};
use crate::ptrace::space::Space;
use crate::ptrace::tables::Request;
use crate::ptrace::tracer::Tracer;
use crate::systrap::copy::Copier;
use crate::systrap::slot::Slots;
use crate::systrap::{Patching, window};

/// The guest threads of a sandbox.
#[derive(Debug)]
pub(in crate::systrap) struct GuestThreads {
    pub(super) tracer: Arc<Tracer>,
    pub(super) slots: Arc<Slots>,
    /// Where the filter of guest threads is in stub processes.
    pub(super) filter: u64,
    pub(super) patching: Patching,
    pub(super) copier: Copier,
    table: Lock<Table, { class::PLATFORM }>,
}

impl GuestThreads {
    pub(in crate::systrap) fn new(
        tracer: Arc<Tracer>,
        slots: Arc<Slots>,
        filter: u64,
        patching: Patching,
    ) -> Self {
        Self {
            tracer,
            slots,
            filter,
            patching,
            copier: Copier::default(),
            table: Lock::new(Table::default()),
        }
    }

    pub(in crate::systrap) fn slots(&self) -> &Slots {
        &self.slots
    }

    pub(in crate::systrap) fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// Settles the calling thread on its present processor, and guest threads on another.
    pub(in crate::systrap) fn settle(&self) {
        let placement = {
            let mut tables = self.tracer.tables();
            tables.placement.settle();
            tables.apart = tables.placement.apart();
            tables.placement.apart()
        };
        self.table().placement = placement;
    }

    pub(super) fn table(&self) -> LockGuard<'_, Table> {
        self.table.lock()
    }

    /// Returns how many processors the threads that run guest code can keep busy.
    pub(in crate::systrap) fn busy_processors(&self) -> usize {
        let table = self.table();
        let let_go = table.running.iter().filter(|thread| thread.is_let_go).count();
        let_go + usize::from(let_go < table.running.len())
    }

    /// Lets threads go that compute while others want to run. Returns whether to look again soon.
    pub(in crate::systrap) fn let_go_busy(&self) -> bool {
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
    pub(in crate::systrap) fn take_trapped(&self) -> Option<Pid> {
        let mut table = self.table();
        let at = table.running.iter().position(|thread| self.slots.is_trapped(thread.slot))?;
        let trapped = table.running.swap_remove(at);
        self.slots.set_running(table.running.len());
        Some(trapped.pid)
    }

    /// Wakes threads that sleep on the host and can run, if no other runs on the processor that they share, or they could
    /// since `late` or before.
    ///
    /// A thread that runs there is seldom far from its own sleep when it has let another go on: it waits for the answer.
    /// The other would only interrupt it, which costs the host several times what going from one to the next does.
    pub(in crate::systrap) fn take_turns(&self, late: Option<Instant>) {
        self.table().take_turns(late, &self.slots);
    }

    /// Returns whether a thread has trapped.
    pub(in crate::systrap) fn is_any_trapped(&self) -> bool {
        self.table().running.iter().any(|thread| self.slots.is_trapped(thread.slot))
    }

    /// Returns what has guest threads copy, which only the host thread can that handles their traps.
    pub(super) fn copier(&self) -> Option<&Copier> {
        self.tracer.is_home().then_some(&self.copier)
    }

    /// Returns whether no thread of an address space runs.
    pub(super) fn is_quiet(&self, space: &Arc<Space>) -> bool {
        let table = self.table();
        let mut running = table.running.iter().filter_map(|running| table.threads.get(&running.pid));
        !running.any(|state| Arc::ptr_eq(&state.space, space))
    }

    /// Closes windows that are not used. Returns when to do so again.
    pub(in crate::systrap) fn close_windows(&self) -> Option<Duration> {
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
    pub(in crate::systrap) fn take_requests(&self) {
        for request in self.tracer.take_requests() {
            match request {
                Request::Resume(pid, registers) => self.resume(pid, &registers),
                Request::Interrupt(pid) => self.interrupt(pid),
            }
        }
    }
}
