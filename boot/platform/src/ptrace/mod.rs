//! The ptrace platform.
//!
//! | module | subject |
//! |---|---|
//! | `image` | the program of the stub processes: the platform's two pages in each |
//! | `start` | the first stub process, from which all others are forked |
//! | `filter` | their seccomp filter |
//! | `clock`, `host_vdso` | what the guest's vDSO finds |
//! | `tracer`, `tables` | how helpers are made to do things; what is known of the processes |
//! | `space`, `thread` | the platform's objects |
//! | `placement` | which processors they run on |
//! | `run`, `signal` | the loop: what stops mean, and how to sleep |
//! | `sys` | the host's system calls |
//!
//! # Processes
//!
//! An address space is a *helper*: a process that never runs guest code and stays in a ptrace stop, except for a
//! moment when the platform has it make a system call on the memory that it holds. A guest thread is a process that
//! shares all with the helper (`CLONE_VM`, …) and always runs under `PTRACE_SYSEMU`. All are children and
//! tracees of the host thread that made the platform, and die with it (`PTRACE_O_EXITKILL`).
//!
//! # Host threads
//!
//! `ptrace(2)` takes requests only from the tracer, so address spaces are used on the host thread that made the
//! platform; elsewhere their methods fail with `EDEADLK`, except reading and writing memory. Of a thread, `resume`,
//! `interrupt`, `exit` and `cpu_time` can be called anywhere. Objects can be dropped anywhere.
//!
//! # Locking
//!
//! One lock of class `PLATFORM` over the tables; the kernel is never called with it held.

mod clock;
mod filter;
mod host_vdso;
mod image;
mod placement;
mod run;
mod signal;
mod space;
mod start;
mod sys;
mod tables;
mod thread;
mod tracer;

use std::sync::Arc;

use cloister_abi::Errno;

use self::clock::Clock;
use self::image::Layout;
use self::signal::Sleeper;
use self::space::Space;
use self::tracer::{Tracer, to_io};
use crate::vdso::ClockOffsets;
use crate::{AddressSpace, Supervisor};

/// The ptrace platform.
#[derive(Debug)]
pub struct Platform {
    tracer: Arc<Tracer>,
    /// An address space that stays empty, to be copied.
    empty: Space,
    clock: Clock,
    sleeper: Sleeper,
}

impl Platform {
    /// Starts the first stub process; the calling host thread becomes the tracer of all of them.
    ///
    /// Needs `fork(2)` and `execveat(2)`, which the platform never uses again. Blocks `SIGCHLD` in this thread:
    /// best done before there are others, which then inherit that.
    ///
    /// # Errors
    ///
    /// The host's: `EPERM` where ptrace is forbidden, `EACCES` where memory files can't be executed.
    pub fn new() -> std::io::Result<Self> {
        let sleeper = Sleeper::new()?;
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        let layout = Layout::new(u64::from_ne_bytes(random));
        let started = start::start(&image::build(&layout, &filter::build().map_err(to_io)?))?;
        let helper = started.pid;
        let tracer = Arc::new(Tracer::new(layout, started)?);
        let empty = Space::new(Arc::clone(&tracer), helper);
        let clock = start::prepare(&empty, &layout)
            .map_err(to_io)
            .and_then(|vdso| Clock::new(&empty, &layout, vdso.as_ref()))
            .inspect_err(|_| tracer.kill_all())?;
        Ok(Self { tracer, empty, clock, sleeper })
    }
}

impl crate::Platform for Platform {
    fn name(&self) -> &'static str {
        "ptrace"
    }

    fn new_address_space(&self) -> Result<Arc<dyn AddressSpace>, Errno> {
        self.empty.fork()
    }

    fn set_clock_offsets(&self, offsets: ClockOffsets) -> Result<(), Errno> {
        self.clock.set_offsets(offsets)
    }

    fn run(&self, supervisor: &dyn Supervisor) -> std::io::Result<()> {
        run::run(&self.tracer, &self.sleeper, supervisor)
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.tracer.kill_all();
    }
}
