//! How a running thread is stopped.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::GuestThreads;
use super::table::{Asked, Phase, State, Table};
use crate::CpuTime;
use crate::ptrace::sys;

/// The host signal that stops a running thread.
pub(in crate::systrap) const INTERRUPT: Signal = Signal::USR1;
/// How long a running thread has to stop before it is asked again, and how often it is asked. Then it is killed: it has
/// blocked the signal, by a frame of its own making for `rt_sigreturn(2)`. Several times, so that a sandbox that was
/// frozen meanwhile loses nobody; and much more often if the host has not let it run, which a busy one may not.
const INTERRUPT_PATIENCE: Duration = Duration::from_millis(500);
const INTERRUPTS: u32 = 4;
const INTERRUPTS_OF_IDLE: u32 = 120;
/// What a thread uses of a processor that has run: a signal comes before anything else.
const HAS_RUN: Duration = Duration::from_millis(10);

impl GuestThreads {
    pub(super) fn interrupt(&self, pid: Pid) {
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
    pub(in crate::systrap) fn insist(&self) -> Option<Duration> {
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
}

/// Returns what a thread has used of processors.
fn used(pid: Pid) -> Duration {
    sys::cpu_time(pid).map_or(Duration::ZERO, CpuTime::total)
}
