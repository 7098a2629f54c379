//! The clocks that the guest names (`clock_gettime(2)`).

use std::time::Duration;

use cloister_platform::CpuTime;
use serde::{Deserialize, Serialize};

use super::Instant;
use crate::error::{Fail, fail};
use crate::kernel::Kernel;
use crate::prelude::{SyscallCx, errno, uapi};
use crate::task::{Pid, Process, Tree};

/// A clock that the guest can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ClockId {
    /// Time since 1970: `CLOCK_REALTIME`, `CLOCK_TAI` (which Linux sets no offset for until it is told one).
    Realtime,
    /// Time since an arbitrary start: `CLOCK_MONOTONIC`, `CLOCK_MONOTONIC_RAW`.
    Monotonic,
    /// As `Monotonic`, with the time that the machine slept: `CLOCK_BOOTTIME`.
    Boottime,
    /// The processor time of a process.
    Process(Pid),
    /// The processor time of a process in user code.
    ProcessUser(Pid),
    /// The processor time of a thread.
    Thread(Pid),
}

impl ClockId {
    /// Returns the clock with the guest's number `raw`; the coarse ones are as fine as the others.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is none.
    pub(crate) fn new(cx: &SyscallCx<'_>, raw: i32) -> Result<Self, Fail> {
        if raw < 0 {
            return Self::of_processor(cx, raw);
        }
        match raw.cast_unsigned() {
            uapi::CLOCK_REALTIME
            | uapi::CLOCK_REALTIME_COARSE
            | uapi::CLOCK_REALTIME_ALARM
            | uapi::CLOCK_TAI => Ok(Self::Realtime),
            uapi::CLOCK_MONOTONIC | uapi::CLOCK_MONOTONIC_RAW | uapi::CLOCK_MONOTONIC_COARSE => {
                Ok(Self::Monotonic)
            }
            uapi::CLOCK_BOOTTIME | uapi::CLOCK_BOOTTIME_ALARM => Ok(Self::Boottime),
            uapi::CLOCK_PROCESS_CPUTIME_ID => Ok(Self::Process(cx.group().tgid())),
            uapi::CLOCK_THREAD_CPUTIME_ID => Ok(Self::Thread(cx.task.tid())),
            _ => Err(fail(errno::EINVAL, "no such clock")),
        }
    }

    /// Returns the clock of a process or a thread (`clock_getcpuclockid(3)`, `pthread_getcpuclockid(3)`): the
    /// complement of its id above three bits, of which one tells threads apart and two the kind of time.
    fn of_processor(cx: &SyscallCx<'_>, raw: i32) -> Result<Self, Fail> {
        const OF_THREAD: i32 = 4;
        const KIND: i32 = 3;
        let unknown = || fail(errno::EINVAL, "no such clock");
        let pid = !(raw >> 3);
        if raw & KIND == KIND {
            return Err(unknown());
        }
        let tree = cx.kernel().processes.lock();
        if raw & OF_THREAD != 0 {
            let tid = if pid == 0 { cx.task.tid() } else { cx.pid(pid) };
            let task = tree.task(tid).filter(|task| task.group().tgid() == cx.group().tgid());
            return task.map(|_| Self::Thread(tid)).ok_or_else(unknown);
        }
        let tgid = if pid == 0 { cx.group().tgid() } else { cx.pid(pid) };
        tree.process(tgid).map(|_| Self::Process(tgid)).ok_or_else(unknown)
    }

    /// Returns whether it counts processor time.
    pub(crate) fn is_of_processor(self) -> bool {
        matches!(self, Self::Process(_) | Self::ProcessUser(_) | Self::Thread(_))
    }

    /// Returns its time. Locks the process tree for processor time.
    pub(crate) fn now(self, kernel: &Kernel) -> Duration {
        match self {
            Self::Realtime => kernel.clock.realtime(),
            Self::Monotonic => Duration::from_nanos(kernel.clock.monotonic().as_ns()),
            Self::Boottime => kernel.clock.boottime(),
            Self::Process(_) | Self::ProcessUser(_) | Self::Thread(_) => {
                self.now_in(kernel, &kernel.processes.lock())
            }
        }
    }

    /// Returns its time, of a caller that has locked the process tree. The time of what has ended is zero.
    pub(crate) fn now_in(self, kernel: &Kernel, tree: &Tree) -> Duration {
        let used = match self {
            Self::ProcessUser(tgid) => {
                return tree.process(tgid).map(|process| process.cpu_time().user).unwrap_or_default();
            }
            Self::Process(tgid) => tree.process(tgid).map(Process::cpu_time),
            Self::Thread(tid) => tree.task(tid).map(|task| task.cpu_time()),
            Self::Realtime | Self::Monotonic | Self::Boottime => return self.now(kernel),
        };
        used.map(CpuTime::total).unwrap_or_default()
    }

    /// Returns when it will show `time`, by the kernel's clock, as things are now. A clock of processor time may reach it
    /// later than that, and is to be looked at again.
    pub(crate) fn instant_of(self, kernel: &Kernel, time: Duration, now: Duration) -> Instant {
        let left = time.saturating_sub(now);
        // Not too often: the time of a process that waits does not pass at all.
        let left = if self.is_of_processor() {
            (left / kernel.options.cpus.max(1)).max(Duration::from_millis(1))
        } else {
            left
        };
        kernel.clock.monotonic().saturating_add(left)
    }
}
