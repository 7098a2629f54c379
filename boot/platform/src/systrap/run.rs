//! The loop that hands traps to the kernel: when to look, and when to sleep.
//!
//! While there is traffic the kernel's thread looks for the next trap in memory, which costs a guest's call little more
//! than the signal. It sleeps when no guest thread runs, when none has trapped for a while, and when guest threads need
//! all processors.

use std::time::{Duration, Instant};

use super::threads::GuestThreads;
use crate::Supervisor;
use crate::ptrace::placement;
use crate::ptrace::signal::{Sleeper, Woken};

/// How long the kernel's thread looks for a trap before it sleeps: about what two wake-ups between processors cost.
const PATIENCE: Duration = Duration::from_micros(60);
/// How often it looks at the outside meanwhile, and while traps come without a pause.
const OUTSIDE_INTERVAL: Duration = Duration::from_micros(20);
/// How often it then looks for processes that died. It does so after each sleep that others than guest threads ended.
const REAP_INTERVAL: Duration = Duration::from_millis(1);
/// How often it looks for traps before it looks at the time, and lets another thread of the host go first.
const LOOKS: u32 = 100;
/// How many traps it handles before it looks at the time, which takes a part of a short call's that can be seen.
const TRAPS: u32 = 8;

/// How long a guest thread that could run lets another run on before it is woken.
const TURN: Duration = Duration::from_micros(50);

/// How often a trapped thread looks for its answer before it sleeps, if there is a processor for the kernel: as long as
/// it takes to change mappings.
const SPINS: u32 = 3000;
/// The same, if not.
const FEW_SPINS: u32 = 50;

/// Returns how many processors the calling thread can use.
pub(super) fn processors() -> usize {
    rustix::thread::sched_getaffinity(None).map_or(1, |set| usize::try_from(set.count()).unwrap_or(1))
}

/// Runs guest threads until `supervisor` is finished.
pub(super) fn run(
    threads: &GuestThreads,
    sleeper: &Sleeper,
    supervisor: &dyn Supervisor,
) -> std::io::Result<()> {
    let processors = processors();
    threads.settle();
    let result = Loop { threads, sleeper, supervisor, processors }.run();
    threads.tracer().tables().placement.leave();
    result
}

struct Loop<'a> {
    threads: &'a GuestThreads,
    sleeper: &'a Sleeper,
    supervisor: &'a dyn Supervisor,
    processors: usize,
}

impl Loop<'_> {
    fn run(&self) -> std::io::Result<()> {
        let mut quiet_since = Instant::now();
        let (mut reaped, mut looked_outside) = (quiet_since, quiet_since);
        let mut woken = Woken::ByAny;
        loop {
            let now = Instant::now();
            let is_by_any = std::mem::replace(&mut woken, Woken::ByThread) == Woken::ByAny;
            let timeout = if is_by_any || now.duration_since(looked_outside) >= OUTSIDE_INTERVAL {
                looked_outside = now;
                self.supervisor.run_pending()
            } else {
                self.supervisor.run_due()
            };
            if is_by_any || now.duration_since(reaped) >= REAP_INTERVAL {
                self.threads.reap();
                self.threads.insist();
                self.threads.close_windows();
                reaped = now;
            }
            if self.supervisor.is_finished() {
                return Ok(());
            }
            self.threads.take_requests();
            self.threads.let_go_busy();
            self.threads.take_turns(now.checked_sub(TURN));
            let limit = timeout.map_or(OUTSIDE_INTERVAL, |timeout| timeout.min(OUTSIDE_INTERVAL));
            if self.handle_traps(now + limit) {
                quiet_since = Instant::now();
            } else if !self.is_room() || quiet_since.elapsed() >= PATIENCE {
                woken = self.sleep(timeout)?;
                quiet_since = Instant::now();
            }
        }
    }

    /// Returns whether there is a processor for the kernel's thread besides those of the guest threads, of which some run.
    fn is_room(&self) -> bool {
        (1..self.processors).contains(&self.threads.busy_processors())
    }

    /// Handles traps until `until`, or until none is there and none is worth waiting for. Returns whether any came.
    fn handle_traps(&self, until: Instant) -> bool {
        let (mut is_any, mut traps) = (false, 0);
        // Which threads run changes by traps alone.
        let mut is_room = self.is_room();
        loop {
            let mut is_quiet = true;
            for _ in 0..LOOKS {
                if let Some(thread) = self.threads.take_trapped() {
                    is_quiet = false;
                    let is_free = self.threads.busy_processors() < self.processors;
                    self.threads.slots().set_spins(match self.processors {
                        1 => 0,
                        _ if is_free => SPINS,
                        _ => FEW_SPINS,
                    });
                    self.threads.handle(thread);
                    self.supervisor.run_woken();
                    self.threads.take_turns(None);
                    is_room = self.is_room();
                    traps += 1;
                    if traps % TRAPS == 0 && Instant::now() >= until {
                        return true;
                    }
                } else if !is_room {
                    return is_any || !is_quiet;
                }
                std::hint::spin_loop();
            }
            is_any |= !is_quiet;
            if Instant::now() >= until || self.supervisor.is_finished() {
                return is_any;
            }
            if is_quiet {
                // The thread that is waited for may wait for this processor.
                rustix::thread::sched_yield();
            }
        }
    }

    /// Sleeps until there is something to do, or `timeout` is over. Returns what may have ended the sleep.
    fn sleep(&self, timeout: Option<Duration>) -> std::io::Result<Woken> {
        let tracer = self.threads.tracer();
        self.threads.take_turns(Some(Instant::now()));
        self.threads.slots().set_asleep(true);
        let result = if self.threads.is_any_trapped() || !self.supervisor.may_sleep() {
            Ok(Woken::ByThread)
        } else {
            let limit = self.threads.let_go_busy().then_some(placement::PATIENCE);
            let timeout = timeout.into_iter().chain(limit).chain(self.threads.insist());
            let timeout = timeout.chain(self.threads.close_windows()).min();
            let is_reviewed = tracer.tables().placement.review();
            let result = self.sleeper.sleep([self.supervisor.event_fd(), tracer.wake_fd()], timeout);
            if is_reviewed {
                self.threads.settle();
            }
            result
        };
        self.threads.slots().set_asleep(false);
        result
    }
}
