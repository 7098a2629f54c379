//! What the tracer knows of the stub processes.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloister_abi::Registers;
use rustix::process::{Pid, Signal};

use super::placement::{Habit, Place, Placement};
use super::space::Space;
use super::sys::Status;
use crate::TrapHandler;
use crate::systrap::Owners;

/// A guest thread as the tracer knows it.
pub(crate) struct Entry {
    /// Who gets its traps.
    pub(crate) handler: Arc<dyn TrapHandler>,
    /// Its memory, which lives at least as long.
    pub(crate) space: Arc<Space>,
    /// Whether it was resumed and has not stopped since; [`Tables::running`] counts these.
    is_running: bool,
    /// How it is used, for its placement.
    habit: Habit,
    /// Whether [`Thread::interrupt`](crate::Thread::interrupt) asked for a stop that has not come.
    pub(crate) is_interrupt_wanted: bool,
}

impl Entry {
    /// Returns whether it was resumed and has not stopped since.
    pub(crate) fn is_running(&self) -> bool {
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
pub(crate) struct Stop {
    pub(crate) pid: Pid,
    pub(crate) signal: i32,
    pub(crate) event: i32,
}

/// What another host thread wants done.
#[derive(Debug)]
pub(crate) enum Request {
    /// [`Thread::resume`](crate::Thread::resume).
    Resume(Pid, Box<Registers>),
    /// [`Thread::interrupt`](crate::Thread::interrupt).
    Interrupt(Pid),
}

impl Request {
    /// Returns the thread that it is about.
    fn pid(&self) -> Pid {
        match self {
            Self::Resume(pid, _) | Self::Interrupt(pid) => *pid,
        }
    }
}

/// A helper of a living address space.
#[derive(Clone, Copy, Debug)]
struct Helper {
    /// Where it was placed.
    place: Place,
    service: Service,
    /// When it was told something last, and how often soon after the last time up to then.
    told: Option<(Instant, u32)>,
}

/// How a helper is told what to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Service {
    /// By ptrace stops: its address space has never had a thread.
    Stopped,
    /// By the page of commands of a slot, at which it looks.
    Serves(usize),
    /// As before, when it is told to look there: it is stopped.
    Paused(usize),
}

#[derive(Debug, Default)]
pub(crate) struct Tables {
    /// The guest threads that were not ended.
    threads: HashMap<Pid, Entry>,
    /// How many of them run.
    running: usize,
    /// The helpers of living address spaces.
    helpers: HashMap<Pid, Helper>,
    pub(crate) placement: Placement,
    /// Where helpers are that wait for commands.
    pub(crate) apart: Placement,
    /// Processes that were killed and will be reaped.
    dying: HashSet<Pid>,
    /// Stops that came up while another process was waited for.
    pub(crate) stops: VecDeque<Stop>,
    /// Guest threads that died without being asked to, with the signal.
    pub(crate) gone: VecDeque<(Pid, Entry, i32)>,
    pub(crate) requests: Vec<Request>,
    /// The slots of threads that are not traced.
    pub(crate) owners: Owners,
}

impl Tables {
    /// Takes the first helper into new tables.
    pub(crate) fn new(helper: Pid) -> Self {
        let first = Helper { place: Place::Anywhere, service: Service::Stopped, told: None };
        Self { helpers: HashMap::from([(helper, first)]), ..Self::default() }
    }

    /// Brings a helper home, if its address space lives.
    pub(crate) fn bring_helper_home(&mut self, helper: Pid) -> Option<()> {
        let Helper { place, .. } = self.helpers.get_mut(&helper)?;
        self.placement.bring_home(helper, place);
        Some(())
    }

    /// Brings a helper to where guest threads are, if its address space lives.
    pub(crate) fn take_helper_apart(&mut self, helper: Pid) {
        if let Some(Helper { place, .. }) = self.helpers.get_mut(&helper) {
            self.apart.bring_home(helper, place);
        }
    }

    /// Returns how a helper is told what to do.
    pub(crate) fn service(&mut self, helper: Pid) -> Option<&mut Service> {
        self.helpers.get_mut(&helper).map(|helper| &mut helper.service)
    }

    /// Takes note that a helper is told something now. Returns how many times in a row that was as `soon` after the last.
    pub(crate) fn tell(&mut self, helper: Pid, soon: Duration) -> u32 {
        let Some(Helper { told, .. }) = self.helpers.get_mut(&helper) else { return 0 };
        let now = Instant::now();
        let is_soon = |(before, _): &(Instant, u32)| now.duration_since(*before) < soon;
        let times = told.filter(is_soon).map_or(0, |(_, times)| times.saturating_add(1));
        *told = Some((now, times));
        times
    }

    /// Returns whether `pid` is a helper that looks for commands.
    pub(crate) fn is_serving(&self, pid: Pid) -> bool {
        self.helpers.get(&pid).is_some_and(|helper| matches!(helper.service, Service::Serves(_)))
    }

    fn place_of(&self, helper: Pid) -> Place {
        self.helpers.get(&helper).map_or(Place::Anywhere, |helper| helper.place)
    }

    /// Takes `helper`, which `of` made, into the tables.
    pub(crate) fn add_helper(&mut self, helper: Pid, of: Pid) {
        let new = Helper { place: self.place_of(of), service: Service::Stopped, told: None };
        self.helpers.insert(helper, new);
    }

    /// Kills a helper, and thereby its address space if no thread is left in it but such as rest.
    pub(crate) fn kill_helper(&mut self, helper: Pid) {
        if self.helpers.remove(&helper).is_some() {
            self.kill_resting(helper);
            self.dying.insert(helper);
            // What it leaves is much for the host to take down, while the kernel's thread has other things to do.
            self.placement.send_away(helper);
            kill(helper);
        }
    }

    fn kill_resting(&mut self, helper: Pid) {
        for thread in self.owners.drain_resting(helper) {
            self.kill_process(thread);
        }
    }

    /// Kills a process that nothing else in the tables is about.
    pub(crate) fn kill_process(&mut self, pid: Pid) {
        self.dying.insert(pid);
        kill(pid);
    }

    /// Returns whether the helper of a thread lives.
    pub(crate) fn has_helper(&self, thread: Pid) -> bool {
        self.threads.get(&thread).is_some_and(|entry| self.helpers.contains_key(&entry.space.helper()))
    }

    /// Forgets a thread that ended and whose process is to be another. What is returned may come back here when it is
    /// dropped.
    #[must_use]
    pub(crate) fn forget_thread(&mut self, thread: Pid) -> Option<Entry> {
        self.requests.retain(|request| request.pid() != thread);
        self.remove_thread(thread)
    }

    /// Kills a guest thread; no trap of it will be handled. What is returned may come back here when it is dropped.
    #[must_use]
    pub(crate) fn kill_thread(&mut self, thread: Pid) -> Option<Entry> {
        let entry = self.remove_thread(thread)?;
        self.stops.retain(|stop| stop.pid != thread);
        self.dying.insert(thread);
        kill(thread);
        Some(entry)
    }

    /// Kills all processes. Returns those that are to be reaped, and what to drop, as [`Tables::kill_thread`].
    #[must_use]
    pub(crate) fn kill_all(&mut self) -> (HashSet<Pid>, Vec<Entry>) {
        let threads = std::mem::take(&mut self.threads);
        let helpers = std::mem::take(&mut self.helpers);
        self.running = 0;
        for helper in helpers.keys() {
            self.kill_resting(*helper);
        }
        let mut left = std::mem::take(&mut self.dying);
        for pid in threads.keys().chain(helpers.keys()) {
            kill(*pid);
            left.insert(*pid);
        }
        let gone = self.gone.drain(..).map(|(_, entry, _)| entry);
        (left, threads.into_values().chain(gone).collect())
    }

    /// Takes note of a report; returns it if it is a stop.
    pub(crate) fn take_note(&mut self, pid: Pid, status: Status) -> Option<Stop> {
        match status {
            Status::Stopped { signal, event } => Some(Stop { pid, signal, event }),
            Status::Dead { signal } => {
                self.bury(pid, signal);
                None
            }
        }
    }

    /// Returns a guest thread that was not ended.
    pub(crate) fn thread(&mut self, pid: Pid) -> Option<&mut Entry> {
        self.threads.get_mut(&pid)
    }

    /// Takes a guest thread into the tables, stopped, as its helper made it.
    pub(crate) fn add_thread(&mut self, pid: Pid, handler: Arc<dyn TrapHandler>, space: Arc<Space>) {
        let habit = Habit::new(self.place_of(space.helper()));
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
    pub(crate) fn note_resume(&mut self, pid: Pid) -> bool {
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
    pub(crate) fn note_stop(&mut self, pid: Pid) -> Option<Arc<dyn TrapHandler>> {
        let entry = self.threads.get_mut(&pid)?;
        self.running -= usize::from(std::mem::take(&mut entry.is_running));
        entry.habit.note_stop();
        Some(Arc::clone(&entry.handler))
    }

    /// Lets threads go that compute while others want to run. Returns whether to look again soon.
    pub(crate) fn let_go_busy(&mut self) -> bool {
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
        self.owners.bury(pid);
        if let Some(entry) = self.remove_thread(pid) {
            self.gone.push_back((pid, entry, signal));
        }
        if self.helpers.remove(&pid).is_some() {
            self.kill_resting(pid);
            // Nothing can be done in its address space any more.
            for (thread, entry) in &self.threads {
                if entry.space.helper() == pid {
                    kill(*thread);
                }
            }
        }
    }
}

/// Sends `SIGKILL`. Only to a process that was not reaped yet, whose id is therefore its own.
fn kill(pid: Pid) {
    // It may be dying already.
    let _ = rustix::process::kill_process(pid, Signal::KILL);
}
