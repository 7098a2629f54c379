//! What all tasks share.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cloister_platform::{Platform, Supervisor};

use super::{Generation, Parameters, Reactor, RunQueue, TimerQueue};
use crate::control::Containers;
use crate::control::timeline::Timeline;
use crate::event::Nesting;
use crate::fs::Vfs;
use crate::fs::anon::AnonFiles;
use crate::fs::host::HostFiles;
use crate::loader::VdsoObject;
use crate::net::InFlight;
use crate::rand::random_uuid;
use crate::syscall::{CallSet, Strace, UnimplementedLog};
use crate::task::futex::FutexTable;
use crate::task::{ProcessTree, Task};
use crate::time::Clock;

/// What the kernel is told at its start.
#[derive(Clone, Debug, Default)]
pub(crate) struct KernelOptions {
    /// Which system calls are logged.
    pub(crate) strace: CallSet,
    /// The number of processors that the guest sees.
    pub(crate) cpus: u32,
    /// The memory that the guest sees, in bytes.
    pub(crate) memory_bytes: u64,
}

impl KernelOptions {
    /// Returns options that show the guest the host's processors and memory.
    pub(crate) fn from_host(strace: CallSet) -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1));
        let info = rustix::system::sysinfo();
        let memory_bytes = u64::from(info.mem_unit).saturating_mul(info.totalram);
        Self { strace, cpus, memory_bytes }
    }

    /// Returns them with at most so many processors and so much memory.
    pub(crate) fn limited(self, cpus: Option<u32>, memory_bytes: Option<u64>) -> Self {
        Self {
            cpus: cpus.map_or(self.cpus, |cpus| cpus.clamp(1, self.cpus.max(1))),
            memory_bytes: memory_bytes.map_or(self.memory_bytes, |bytes| bytes.min(self.memory_bytes)),
            ..self
        }
    }
}

/// What all tasks of a sandbox share.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// What runs guest code.
    pub(crate) platform: Box<dyn Platform>,
    /// What the kernel was told at its start.
    pub(crate) options: KernelOptions,
    /// The clocks of the sandbox.
    pub(crate) clock: Clock,
    /// All tasks and processes, and how they are related.
    pub(crate) processes: ProcessTree,
    /// The containers.
    pub(crate) containers: Containers,
    /// The virtual file system.
    pub(crate) vfs: Vfs,
    /// The futexes that somebody waits for.
    pub(crate) futexes: FutexTable,
    /// What can be set of the kernel.
    pub(crate) parameters: Parameters,
    /// The kernel's code in user space.
    pub(crate) vdso: VdsoObject,
    /// The tasks that were woken.
    pub(crate) run_queue: RunQueue,
    /// What is to happen at a time.
    pub(crate) timers: Arc<TimerQueue>,
    /// The host descriptors that are waited for.
    pub(crate) reactor: Arc<Reactor>,
    /// The file systems of files without a name.
    pub(crate) anon_files: AnonFiles,
    /// The descriptors of the host that are files of the guest.
    pub(crate) host_files: HostFiles,
    /// Descriptors that are on their way.
    pub(crate) in_flight: Arc<InFlight>,
    /// The right to have epoll instances watch each other.
    pub(crate) epoll_nesting: Nesting,
    /// The log of system calls.
    pub(crate) strace: Strace,
    /// Which missing system calls were reported.
    pub(crate) unimplemented: UnimplementedLog,
    /// The id of this boot, a random UUID (`/proc/sys/kernel/random/boot_id`).
    pub(crate) boot_id: String,
    /// Which snapshot it comes from.
    pub(crate) generation: Generation,
    /// When which step of the start was done.
    pub(crate) timeline: Timeline,
    finished: AtomicBool,
    syscalls: AtomicU64,
}

impl Kernel {
    /// Makes a kernel without tasks.
    ///
    /// # Errors
    ///
    /// If the host has no descriptor left.
    pub(crate) fn new(platform: Box<dyn Platform>, options: KernelOptions) -> std::io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            platform,
            strace: Strace::new(&options.strace),
            options,
            clock: Clock::new(),
            processes: ProcessTree::default(),
            containers: Containers::default(),
            vfs: Vfs::default(),
            futexes: FutexTable::default(),
            parameters: Parameters::default(),
            vdso: VdsoObject::default(),
            run_queue: RunQueue::default(),
            timers: Arc::new(TimerQueue::default()),
            reactor: Arc::new(Reactor::new()?),
            anon_files: AnonFiles::default(),
            host_files: HostFiles::default(),
            in_flight: Arc::default(),
            epoll_nesting: Nesting::default(),
            unimplemented: UnimplementedLog::default(),
            boot_id: random_uuid(),
            generation: Generation::default(),
            timeline: Timeline::default(),
            finished: AtomicBool::new(false),
            syscalls: AtomicU64::new(0),
        }))
    }

    /// Counts a system call.
    pub(crate) fn count_syscall(&self) {
        self.syscalls.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many system calls were begun.
    pub(crate) fn syscalls_handled(&self) -> u64 {
        self.syscalls.load(Ordering::Relaxed)
    }

    /// Takes the task that is to run next.
    fn next_task(&self) -> Option<Arc<Task>> {
        if self.containers.has_frozen() { self.run_queue.pop_if(Task::may_run) } else { self.run_queue.pop() }
    }

    /// Ends the sandbox once the work at hand is done.
    pub(crate) fn finish(&self) {
        self.finished.store(true, Ordering::Release);
        self.reactor.notify();
    }
}

impl Supervisor for Kernel {
    fn run_pending(&self) -> Option<Duration> {
        self.reactor.dispatch();
        self.run_due()
    }

    fn run_due(&self) -> Option<Duration> {
        self.run_woken();
        // Last, since tasks that ran may have set timers.
        loop {
            let now = self.clock.monotonic();
            let next = if self.containers.are_all_frozen() { None } else { self.timers.expire_due(now) };
            let Some(task) = self.next_task() else {
                return next.map(|at| at.saturating_duration_since(now));
            };
            task.run_again();
        }
    }

    fn run_woken(&self) {
        while let Some(task) = self.next_task() {
            task.run_again();
        }
    }

    fn may_sleep(&self) -> bool {
        self.run_queue.may_sleep()
    }

    fn event_fd(&self) -> BorrowedFd<'_> {
        self.reactor.fd()
    }

    fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }
}
