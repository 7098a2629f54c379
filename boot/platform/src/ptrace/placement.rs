//! Which processors stub processes run on.
//!
//! A ptrace stop and its answer are two wake-ups. Between two idle processors each is an interrupt, which in a virtual
//! machine is an exit: 50 µs there and back. On one processor it is a context switch: 9 µs, with all that a trap costs.
//! So the tracer stays on one processor, its *home*, and so does every process that does little between two stops. A
//! guest thread that computes while another wants to run is let go wherever the host's scheduler puts it, until it
//! stops often again.
//!
//! Affinities are set only when they change, so a thread whose role does not change pays nothing.

use std::time::{Duration, Instant};

use rustix::process::Pid;
use rustix::thread::CpuSet;

/// How long a thread computes, while others want to run, before it is let go.
pub(crate) const PATIENCE: Duration = Duration::from_millis(2);
/// How often the tracer lets the scheduler choose its home.
const REVIEW_INTERVAL: Duration = Duration::from_millis(100);
/// A stop that comes sooner after the resumption than this is a sign of a thread that belongs at home.
const SOON: Duration = Duration::from_micros(500);
/// How many such stops in a row bring a thread home that was let go.
const SOON_STOPS: u8 = 8;

/// The processors, and where home is.
#[derive(Debug, Default)]
pub(crate) struct Placement {
    /// What the process may use, and home. `None` if there is nothing to decide: outside of the loop, and with one
    /// processor.
    settled: Option<(CpuSet, usize)>,
    reviewed: Option<Instant>,
    looked: Option<Instant>,
}

/// Where a process may run, as it was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Only on this processor.
    Home(usize),
    /// Wherever the host likes.
    Anywhere,
}

/// What is known of a guest thread.
#[derive(Debug)]
pub(crate) struct Habit {
    place: Place,
    resumed: Instant,
    soon_stops: u8,
}

impl Placement {
    /// Makes the calling thread's present processor its home. Not done before the loop begins, so that other threads
    /// that boot makes are not tied to it.
    pub(crate) fn settle(&mut self) {
        let allowed = match self.settled.take() {
            Some((allowed, _)) => Some(allowed),
            None => rustix::thread::sched_getaffinity(None).ok().filter(|set| set.count() > 1),
        };
        if let Some(allowed) = allowed {
            let home = rustix::thread::sched_getcpu();
            self.settled = Some((allowed, home));
            self.reviewed = Some(Instant::now());
            let _ = rustix::thread::sched_setaffinity(None, &only(home));
        }
    }

    /// Lets the calling thread go.
    pub(crate) fn leave(&mut self) {
        if let Some((allowed, _)) = self.settled.take() {
            let _ = rustix::thread::sched_setaffinity(None, &allowed);
        }
    }

    /// Lets the scheduler choose anew where the calling thread, which is about to sleep, wakes up, if it has not for
    /// some time: there may be more to do at home than elsewhere. If so, [`Placement::settle`] is to follow the sleep.
    pub(crate) fn review(&self) -> bool {
        let Some((allowed, _)) = &self.settled else { return false };
        let is_due = self.reviewed.is_none_or(|reviewed| reviewed.elapsed() >= REVIEW_INTERVAL);
        if is_due {
            let _ = rustix::thread::sched_setaffinity(None, allowed);
        }
        is_due
    }

    /// Brings `pid`, which was at `place`, to where the calling thread is.
    pub(crate) fn bring_home(&self, pid: Pid, place: &mut Place) {
        if let Some((_, home)) = self.settled
            && *place != Place::Home(home)
        {
            *place = Place::Home(home);
            let _ = rustix::thread::sched_setaffinity(Some(pid), &only(home));
        }
    }

    /// Sends `pid` to any processor but home.
    pub(crate) fn send_away(&self, pid: Pid) {
        if let Some((mut elsewhere, home)) = self.settled {
            elsewhere.unset(home);
            let _ = rustix::thread::sched_setaffinity(Some(pid), &elsewhere);
        }
    }

    /// Returns the placement of threads that belong together, but not here, where the calling thread looks for their
    /// traps without a pause.
    pub(crate) fn apart(&self) -> Self {
        let settled = self.settled.as_ref().and_then(|(allowed, home)| {
            let others = || (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu) && cpu != home);
            let other = others().find(|cpu| cpu > home).or_else(|| others().next())?;
            Some((*allowed, other))
        });
        Self { settled, ..Self::default() }
    }

    /// Takes note that a guest thread is resumed, alone or beside others that run, and puts it where it belongs.
    pub(crate) fn resume(&self, pid: Pid, habit: &mut Habit, is_alone: bool) {
        if self.settled.is_some() {
            habit.resumed = Instant::now();
            if habit.place != Place::Anywhere || is_alone || habit.soon_stops >= SOON_STOPS {
                self.bring_home(pid, &mut habit.place);
            }
        }
    }

    /// Returns whether it is time to look for threads to let go.
    pub(crate) fn is_time_to_look(&mut self) -> bool {
        let is_due = self.looked.is_none_or(|looked| looked.elapsed() >= PATIENCE / 2);
        if is_due {
            self.looked = Some(Instant::now());
        }
        is_due && self.settled.is_some()
    }

    /// Lets a guest thread go that has been running for long.
    pub(crate) fn let_go_if_busy(&self, pid: Pid, habit: &mut Habit) {
        if let Some((allowed, _)) = &self.settled
            && habit.place != Place::Anywhere
            && habit.resumed.elapsed() >= PATIENCE
        {
            habit.place = Place::Anywhere;
            habit.soon_stops = 0;
            let _ = rustix::thread::sched_setaffinity(Some(pid), allowed);
        }
    }
}

impl Habit {
    /// Returns what is known of a thread that was just made at `place`.
    pub(crate) fn new(place: Place) -> Self {
        Self { place, resumed: Instant::now(), soon_stops: 0 }
    }

    /// Takes note that the thread stopped.
    pub(crate) fn note_stop(&mut self) {
        // At home nobody looks at it.
        if self.place == Place::Anywhere {
            let is_soon = self.resumed.elapsed() < SOON;
            self.soon_stops = if is_soon { self.soon_stops.saturating_add(1) } else { 0 };
        }
    }

    /// Returns whether the thread was let go.
    pub(crate) fn is_let_go(&self) -> bool {
        self.place == Place::Anywhere
    }
}

fn only(processor: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(processor);
    set
}
