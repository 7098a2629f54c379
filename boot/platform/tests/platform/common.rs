//! A kernel for tests: it keeps the traps and lets the test answer them.

use std::collections::VecDeque;
use std::io::Write;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloister_abi::{Errno, Registers};
use cloister_platform::{AddressSpace, Backing, Platform, Protection, Supervisor, Thread, Trap, TrapHandler};
use cloister_platform::{ptrace, systrap};
use cloister_sync::Lock;
use rustix::event::EventfdFlags;
use rustix::fs::MemfdFlags;

/// Where [`Sandbox::program`] puts code.
pub(crate) const CODE: u64 = 0x40_0000;
/// Where it puts a page of data.
pub(crate) const DATA: u64 = 0x50_0000;
/// Where there is text that does not change, says [`Keep`].
pub(crate) const TEXT: u64 = 0x60_0000;
pub(crate) const PAGE: u64 = 4096;
pub(crate) const RW: Protection = Protection::READ.union(Protection::WRITE);

pub(crate) fn pages(start: u64, count: u64) -> Range<u64> {
    start..start + count * PAGE
}

/// The registers that begin [`Sandbox::program`].
pub(crate) fn start() -> Registers {
    Registers::start_at(CODE, DATA + PAGE)
}

type Traps = Arc<Lock<VecDeque<(usize, Trap, Registers)>, 240>>;

/// A platform and the traps that came.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) platform: Box<dyn Platform>,
    traps: Traps,
}

struct Keep {
    thread: usize,
    traps: Traps,
    /// What is done at each trap, as a kernel would that answers at once.
    work: Box<dyn Fn() + Send + Sync>,
}

impl TrapHandler for Keep {
    fn on_trap(self: Arc<Self>, trap: Trap, registers: &Registers) {
        (self.work)();
        self.traps.lock().push_back((self.thread, trap, *registers));
    }

    fn is_fixed_text(&self, range: Range<u64>) -> bool {
        (TEXT..TEXT + PAGE).contains(&range.start)
    }
}

struct UntilTrap<'a> {
    traps: &'a Traps,
    deadline: Instant,
    event: OwnedFd,
}

impl Supervisor for UntilTrap<'_> {
    fn run_pending(&self) -> Option<Duration> {
        Some(self.deadline.saturating_duration_since(Instant::now()))
    }

    fn event_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    fn is_finished(&self) -> bool {
        !self.traps.lock().is_empty() || Instant::now() >= self.deadline
    }
}

impl Sandbox {
    pub(crate) fn on_ptrace() -> Self {
        Self { platform: Box::new(ptrace::Platform::new().unwrap()), traps: Arc::default() }
    }

    pub(crate) fn on_systrap() -> Self {
        Self {
            platform: Box::new(systrap::Platform::new(systrap::Patching::On).unwrap()),
            traps: Arc::default(),
        }
    }

    /// With room for few threads.
    pub(crate) fn with_threads(most: usize) -> Self {
        Self {
            platform: Box::new(systrap::Platform::with_threads(systrap::Patching::On, most).unwrap()),
            traps: Arc::default(),
        }
    }

    pub(crate) fn space(&self) -> Arc<dyn AddressSpace> {
        self.platform.new_address_space().unwrap()
    }

    /// Makes a thread whose traps are known by `thread`.
    pub(crate) fn spawn(&self, space: &Arc<dyn AddressSpace>, thread: usize) -> Arc<dyn Thread> {
        self.try_spawn(space, thread).unwrap()
    }

    /// As [`Sandbox::spawn`], which may fail.
    pub(crate) fn try_spawn(
        &self,
        space: &Arc<dyn AddressSpace>,
        thread: usize,
    ) -> Result<Arc<dyn Thread>, Errno> {
        self.spawn_with(space, thread, || ())
    }

    /// As [`Sandbox::try_spawn`]; `work` is done at each trap before the loop that hands it out goes on.
    pub(crate) fn spawn_with(
        &self,
        space: &Arc<dyn AddressSpace>,
        thread: usize,
        work: impl Fn() + Send + Sync + 'static,
    ) -> Result<Arc<dyn Thread>, Errno> {
        let handler = Arc::new(Keep { thread, traps: Arc::clone(&self.traps), work: Box::new(work) });
        Arc::clone(space).spawn(None, handler)
    }

    /// Makes an address space with `code` and a page of stack, and a thread that is number 0.
    pub(crate) fn program(&self, code: &[u8]) -> (Arc<dyn AddressSpace>, Arc<dyn Thread>) {
        let space = self.space();
        let range = pages(CODE, 1);
        space.map(range.clone(), RW, Backing::Anonymous).unwrap();
        assert_eq!(space.write(range.start, code), code.len());
        space.protect(range, Protection::READ | Protection::EXECUTE).unwrap();
        space.map(pages(DATA, 1), RW, Backing::Anonymous).unwrap();
        let thread = self.spawn(&space, 0);
        (space, thread)
    }

    /// Lets guest threads run until one traps.
    pub(crate) fn next_trap(&self) -> (Trap, Registers) {
        let (_, trap, registers) = self.next_trap_of_any();
        (trap, registers)
    }

    /// As [`Sandbox::next_trap`], and tells which thread it was.
    pub(crate) fn next_trap_of_any(&self) -> (usize, Trap, Registers) {
        self.trap_within(Duration::from_secs(10)).expect("a trap within 10 seconds")
    }

    /// As [`Sandbox::next_trap_of_any`], for traps by guest code that does not wake the kernel.
    pub(crate) fn next_forged_trap(&self) -> (usize, Trap, Registers) {
        let mut looks = (0..1000).map(|_| self.trap_within(Duration::from_millis(10)));
        looks.find_map(|trap| trap).expect("a trap within 10 seconds")
    }

    /// Lets guest threads run until one traps, but not for long.
    pub(crate) fn trap_within(&self, limit: Duration) -> Option<(usize, Trap, Registers)> {
        let event = rustix::event::eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let until = UntilTrap { traps: &self.traps, deadline: Instant::now() + limit, event };
        self.platform.run(&until).unwrap();
        self.traps.lock().pop_front()
    }
}

/// Returns a file with these contents.
pub(crate) fn file_of(contents: &[u8]) -> std::fs::File {
    let file = rustix::fs::memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
    let mut file = std::fs::File::from(file);
    file.write_all(contents).unwrap();
    file
}
