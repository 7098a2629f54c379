//! The limit of a process' processor time (`getrlimit(2)`, `RLIMIT_CPU`).

use std::sync::{Arc, Weak};
use std::time::Duration;

use cloister_sync::{Lock, class};

use super::{ClockId, Instant};
use crate::kernel::{Expire, Kernel, TimerHandle};
use crate::signal::{self, Origin, Signal, SignalInfo, Target};
use crate::task::{Pid, Resource, Rlimit, Tree};

/// Looks after the limit of one process.
#[derive(Debug)]
pub(super) struct CpuLimit {
    tgid: Pid,
    kernel: Weak<Kernel>,
    handle: Lock<Option<TimerHandle>, { class::TIMER }>,
}

impl CpuLimit {
    /// Makes one for the process `tgid`.
    pub(super) fn new(tgid: Pid, kernel: Weak<Kernel>) -> Arc<Self> {
        Arc::new(Self { tgid, kernel, handle: Lock::new(None) })
    }

    /// Looks whether the limit is reached, and when to look again.
    pub(super) fn look(self: &Arc<Self>, kernel: &Kernel, tree: &Tree) {
        let Some(process) = tree.process(self.tgid).filter(|process| !process.tasks.is_empty()) else {
            return;
        };
        let clock = ClockId::Process(self.tgid);
        let now = clock.now_in(kernel, tree);
        let Rlimit { mut soft, hard } = process.group.rlimits().get(Resource::Cpu);
        let seconds = now.as_secs();
        if soft == u64::MAX {
            return;
        }
        if seconds >= soft.max(1) || seconds >= hard {
            let signal = if seconds >= hard { Signal::KILL } else { Signal::XCPU };
            let _ = signal::send(tree, process, Target::Group, SignalInfo::kernel(signal), Origin::Outside);
            // As Linux: it is told once each second from then on.
            soft = seconds + 1;
            process
                .group
                .rlimits_mut()
                .set_by_number(Resource::Cpu as u32, Rlimit { soft: soft.min(hard), hard });
        }
        let next = Duration::from_secs(soft.max(1).min(hard));
        let timer: Arc<dyn Expire> = Arc::clone(self) as Arc<_>;
        let handle = kernel.timers.set(clock.instant_of(kernel, next, now), Arc::downgrade(&timer));
        *self.handle.lock() = Some(handle);
    }
}

impl Expire for CpuLimit {
    fn expire(self: Arc<Self>, _now: Instant) {
        let Some(kernel) = self.kernel.upgrade() else { return };
        let tree = kernel.processes.lock();
        self.look(&kernel, &tree);
    }
}
