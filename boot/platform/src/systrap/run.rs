//! The loop that hands traps to the kernel: when to look, and when to sleep.
//!
//! While there is traffic the kernel's thread looks for the next trap in memory, which costs a guest's call little more
//! than the signal. It sleeps when no guest thread runs, when none has trapped for a while, and when guest threads need
//! all processors.

use std::time::{Duration, Instant};

use super::threads::GuestThreads;
use crate::Supervisor;
use crate::ptrace::signal::Sleeper;

/// How long the kernel's thread looks for a trap before it sleeps: about what two wake-ups between processors cost.
const PATIENCE: Duration = Duration::from_micros(60);
/// How often it looks at the outside meanwhile, and while traps come without a pause.
const OUTSIDE_INTERVAL: Duration = Duration::from_micros(20);
/// How often it looks for traps before it looks at the time, and lets another thread of the host go first.
const LOOKS: u32 = 32;

/// How often a trapped thread looks for its answer before it sleeps, if there is a processor for the kernel: as long as
/// it takes to change mappings.
const SPINS: u32 = 3000;
/// The same, if not.
const FEW_SPINS: u32 = 50;

fn processors() -> usize {
    rustix::thread::sched_getaffinity(None).map_or(1, |set| usize::try_from(set.count()).unwrap_or(1))
}

/// Runs guest threads until `supervisor` is finished.
pub(super) fn run(
    threads: &GuestThreads,
    sleeper: &Sleeper,
    supervisor: &dyn Supervisor,
) -> std::io::Result<()> {
    let processors = processors();
    threads.tracer().tables().placement.settle();
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
        loop {
            let timeout = self.supervisor.run_pending();
            let looked_outside = Instant::now();
            if self.supervisor.is_finished() {
                return Ok(());
            }
            self.threads.take_requests();
            if self.threads.reap() {
                continue;
            }
            let mut is_any = false;
            while let Some(thread) = self.next_trap() {
                is_any = true;
                let is_room = self.threads.running() + 1 < self.processors;
                self.threads.slots().set_spins(if is_room { SPINS } else { FEW_SPINS });
                self.threads.handle(thread);
                self.supervisor.run_woken();
                if looked_outside.elapsed() >= OUTSIDE_INTERVAL || self.supervisor.is_finished() {
                    break;
                }
            }
            if !is_any && !self.is_trap_near(timeout) {
                self.sleep(timeout)?;
            }
        }
    }

    fn next_trap(&self) -> Option<rustix::process::Pid> {
        self.threads.take_trapped()
    }

    /// Looks for a trap as long as that is better than to sleep.
    fn is_trap_near(&self, timeout: Option<Duration>) -> bool {
        if !(1..self.processors).contains(&self.threads.running()) {
            return false;
        }
        let began = Instant::now();
        let patience = timeout.map_or(PATIENCE, |timeout| timeout.min(PATIENCE));
        while began.elapsed() < patience {
            for _ in 0..LOOKS {
                if self.threads.is_any_trapped() {
                    return true;
                }
                std::hint::spin_loop();
            }
            // The thread that is waited for may wait for this processor.
            rustix::thread::sched_yield();
        }
        false
    }

    /// Sleeps until there is something to do, or `timeout` is over.
    fn sleep(&self, timeout: Option<Duration>) -> std::io::Result<()> {
        let tracer = self.threads.tracer();
        self.threads.slots().set_asleep(true);
        let result = if self.threads.is_any_trapped() {
            Ok(())
        } else {
            let is_reviewed = tracer.tables().placement.review();
            let result = self.sleeper.sleep([self.supervisor.event_fd(), tracer.wake_fd()], timeout);
            if is_reviewed {
                tracer.tables().placement.settle();
            }
            result
        };
        self.threads.slots().set_asleep(false);
        result
    }
}
