//! A guest thread: one host process that shares the memory of its address space.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cloister_abi::{Errno, Registers, errno};
use cloister_sync::{Lock, class};
use rustix::process::Pid;

use super::filter::CLONE_THREAD_FLAGS;
use super::space::{Space, Threads};
use super::sys;
use super::tables::Request;
use super::tracer::Tracer;
use crate::{CpuTime, FpuState, Thread, TrapHandler};

/// A handle of a guest thread. What the platform itself needs of it is in the tracer's tables until it ends.
#[derive(Debug)]
pub(super) struct GuestThread {
    tracer: Arc<Tracer>,
    pid: Pid,
    meter: Meter,
}

/// The processor time of a guest thread.
#[derive(Debug)]
pub(crate) struct Meter {
    pid: Pid,
    measured: Lock<Measured, { class::PLATFORM }>,
    has_ended: AtomicBool,
}

#[derive(Debug, Default)]
struct Measured {
    /// What the process had used when it became this thread.
    before: CpuTime,
    /// What the thread had used when it was last asked for: the answer when it is gone.
    used: CpuTime,
}

impl Meter {
    /// Measures a thread for which `pid` was made.
    pub(crate) fn new(pid: Pid) -> Self {
        Self { pid, measured: Lock::new(Measured::default()), has_ended: AtomicBool::new(false) }
    }

    /// Measures a thread that `pid`, which was another, is from now on.
    pub(crate) fn from_now(pid: Pid) -> Self {
        let before = sys::cpu_time(pid).unwrap_or_default();
        let measured = Lock::new(Measured { before, ..Measured::default() });
        Self { measured, ..Self::new(pid) }
    }

    /// Returns what the thread has used.
    pub(crate) fn read(&self, tracer: &Tracer) -> CpuTime {
        if self.has_ended() {
            return self.measured.lock().used;
        }
        // The number is the thread's only as long as the tables have it.
        let is_known = tracer.tables().thread(self.pid).is_some();
        let now = if is_known { sys::cpu_time(self.pid) } else { None };
        let mut measured = self.measured.lock();
        if let Some(now) = now {
            let before = measured.before;
            measured.used = CpuTime {
                user: now.user.saturating_sub(before.user),
                system: now.system.saturating_sub(before.system),
            };
        }
        measured.used
    }

    /// Reads for the last time. Returns whether the thread had not ended before: if it had, its process may be another.
    pub(crate) fn end(&self, tracer: &Tracer) -> bool {
        self.read(tracer);
        !self.has_ended.swap(true, Ordering::Relaxed)
    }

    /// Returns whether the thread has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }
}

impl GuestThread {
    pub(super) fn new(tracer: Arc<Tracer>, pid: Pid) -> Self {
        Self { tracer, pid, meter: Meter::new(pid) }
    }

    /// Returns whether the host thread is there, under its number.
    fn is_known(&self) -> bool {
        self.tracer.tables().thread(self.pid).is_some()
    }
}

/// Makes guest threads that the tracer traces.
#[derive(Debug)]
pub(super) struct TracedThreads(pub(super) Arc<Tracer>);

impl Threads for TracedThreads {
    fn spawn(
        self: Arc<Self>,
        space: Arc<Space>,
        fpu: Option<&FpuState>,
        handler: Arc<dyn TrapHandler>,
    ) -> Result<Arc<dyn Thread>, Errno> {
        let Self(tracer) = &*self;
        let pid = tracer.clone_helper(space.helper(), CLONE_THREAD_FLAGS)?;
        let thread = Arc::new(GuestThread::new(Arc::clone(tracer), pid));
        tracer.tables().add_thread(pid, handler, space);
        // A helper never touches these registers, so without `fpu` they are as after an execve(2): initial.
        if let Some(fpu) = fpu
            && let Err(error) = thread.set_fpu(fpu)
        {
            thread.exit();
            return Err(error);
        }
        Ok(thread)
    }
}

impl Thread for GuestThread {
    fn resume(&self, registers: &Registers) {
        if self.tracer.is_home() {
            self.tracer.resume(self.pid, registers);
        } else {
            self.tracer.request(Request::Resume(self.pid, Box::new(*registers)));
        }
    }

    fn fpu(&self) -> Result<FpuState, Errno> {
        if !self.is_known() {
            return Err(errno::ESRCH);
        }
        let mut bytes = vec![0; FpuState::MAX_BYTES];
        let length = sys::vector_registers(self.pid, &mut bytes)?;
        bytes.truncate(length);
        Ok(FpuState::from_bytes(bytes))
    }

    fn set_fpu(&self, state: &FpuState) -> Result<(), Errno> {
        let mut bytes = self.fpu()?.bytes().to_vec();
        // The host takes nothing but a whole state. Components that a shorter one does not have are left initial:
        // its header, which must be there, does not name them.
        let (Some(start), true) = (bytes.get_mut(..state.bytes().len()), state.bytes().len() >= 576) else {
            return Err(errno::EINVAL);
        };
        start.copy_from_slice(state.bytes());
        let given = state.bytes().len();
        if let Some(rest) = bytes.get_mut(given..) {
            rest.fill(0);
        }
        sys::set_vector_registers(self.pid, &bytes).map_err(|error| match error {
            errno::ESRCH => error,
            _ => errno::EINVAL,
        })
    }

    fn interrupt(&self) {
        if self.tracer.is_home() {
            self.tracer.interrupt(self.pid);
        } else {
            self.tracer.request(Request::Interrupt(self.pid));
        }
    }

    fn exit(&self) {
        let _ = self.cpu_time();
        self.tracer.kill_thread(self.pid);
    }

    fn cpu_time(&self) -> CpuTime {
        self.meter.read(&self.tracer)
    }
}
