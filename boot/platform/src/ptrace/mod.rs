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
//! moment when the platform has it make a system call on the memory that it holds (on systrap it can wait for commands
//! instead). A guest thread is a process that
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

mod batch;
mod clock;
pub(crate) mod filter;
mod host_vdso;
pub(crate) mod image;
pub(crate) mod placement;
pub(crate) mod run;
pub(crate) mod signal;
pub(crate) mod space;
mod start;
pub(crate) mod sys;
pub(crate) mod tables;
pub(crate) mod thread;
pub(crate) mod tracer;

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use cloister_abi::Errno;

use self::clock::Clock;
use self::image::Layout;
use self::signal::Sleeper;
use self::space::{Space, Threads};
use self::thread::TracedThreads;
use self::tracer::{Tracer, to_io};
use crate::vdso::ClockOffsets;
use crate::{AddressSpace, Supervisor};

/// The stub processes of a sandbox: what this platform and [`systrap`](crate::systrap) have in common.
#[derive(Debug)]
pub(crate) struct Stubs {
    pub(crate) tracer: Arc<Tracer>,
    /// An address space that stays empty, to be copied.
    pub(crate) empty: Space,
    clock: Clock,
    pub(crate) sleeper: Sleeper,
}

/// How a platform's guest threads are made, and what else its stub processes need.
pub(crate) struct Setup<'a> {
    /// What guest threads do beyond what helpers do.
    pub(crate) thread_calls: &'a [filter::Allowed<'a>],
    /// The filter of guest threads, beside that of the helpers.
    pub(crate) thread_filter: Option<Vec<libc::sock_filter>>,
    /// What only helpers are to have as descriptor 2.
    pub(crate) answers: Option<BorrowedFd<'a>>,
}

impl Stubs {
    /// Starts the first stub process; the calling host thread becomes the tracer of all of them.
    ///
    /// `threads` gets the tracer, and where the second filter is.
    pub(crate) fn start(
        layout: Layout,
        setup: Setup<'_>,
        threads: impl FnOnce(&Arc<Tracer>, u64) -> std::io::Result<Arc<dyn Threads>>,
        prepare: impl FnOnce(&Space) -> Result<(), Errno>,
    ) -> std::io::Result<Self> {
        let sleeper = Sleeper::new()?;
        let helpers_filter = filter::build(setup.thread_calls).map_err(to_io)?;
        let thread_filter = image::second_filter(&layout, helpers_filter.len());
        let filters: Vec<_> = std::iter::once(helpers_filter).chain(setup.thread_filter).collect();
        let started = start::start(&image::build(&layout, &filters), setup.answers)?;
        let helper = started.pid;
        let tracer = Arc::new(Tracer::new(layout, started)?);
        let made = threads(&tracer, thread_filter).and_then(|threads| {
            let empty = Space::new(Arc::clone(&tracer), helper, threads);
            let vdso = start::prepare(&empty, &layout, prepare).map_err(to_io)?;
            let clock = Clock::new(&empty, &layout, vdso.as_ref())?;
            Ok((empty, clock))
        });
        let (empty, clock) = made.inspect_err(|_| tracer.kill_all())?;
        Ok(Self { tracer, empty, clock, sleeper })
    }

    /// See [`crate::Platform::set_clock_offsets`].
    pub(crate) fn set_clock_offsets(&self, offsets: ClockOffsets) -> Result<(), Errno> {
        self.clock.set_offsets(offsets)
    }
}

impl Drop for Stubs {
    fn drop(&mut self) {
        self.tracer.kill_all();
    }
}

/// Chooses where things are in the stub processes of a sandbox.
pub(crate) fn random_layout() -> std::io::Result<Layout> {
    let mut random = [0; 8];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
    Ok(Layout::new(u64::from_ne_bytes(random)))
}

/// The ptrace platform.
#[derive(Debug)]
pub struct Platform {
    stubs: Stubs,
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
        let setup = Setup { thread_calls: &[], thread_filter: None, answers: None };
        let threads = |tracer: &Arc<Tracer>, _| -> std::io::Result<Arc<dyn Threads>> {
            Ok(Arc::new(TracedThreads(Arc::clone(tracer))))
        };
        Ok(Self { stubs: Stubs::start(random_layout()?, setup, threads, |_| Ok(()))? })
    }
}

impl crate::Platform for Platform {
    fn name(&self) -> &'static str {
        "ptrace"
    }

    fn new_address_space(&self) -> Result<Arc<dyn AddressSpace>, Errno> {
        self.stubs.empty.fork()
    }

    fn set_clock_offsets(&self, offsets: ClockOffsets) -> Result<(), Errno> {
        self.stubs.set_clock_offsets(offsets)
    }

    fn run(&self, supervisor: &dyn Supervisor) -> std::io::Result<()> {
        run::run(&self.stubs.tracer, &self.stubs.sleeper, supervisor)
    }
}
