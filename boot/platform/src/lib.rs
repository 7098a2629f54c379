//! How guest code runs: address spaces, threads and traps.
//!
//! A [`Platform`] runs the application's machine code and tells the kernel, its [`Supervisor`], when a thread
//! *traps*: asks for a system call, faults, or was interrupted. One [`AddressSpace`] is one host process (a
//! *stub*) with private memory of its own, so that copy-on-write, page faults, swap and memory cgroups are the
//! host's work; one guest [`Thread`] is one host thread of it.
//!
//! The contract, whole:
//!
//! * The kernel makes an address space, maps things, and spawns threads in it. A new thread is stopped until
//!   [`Thread::resume`].
//! * When a thread traps it is stopped, and the platform calls [`TrapHandler::on_trap`] of the handler that the
//!   thread was spawned with. It stays stopped until the kernel resumes it, now or later, on this host thread or
//!   on another, or ends it.
//! * Nothing that a stub holds is trusted: its memory, its registers, its results.
//!
//! | module | mechanism |
//! |---|---|
//! | [`ptrace`] | `PTRACE_SYSEMU`; runs anywhere, the reference for correctness |
//! | [`systrap`] | signals in the guest's own threads, and memory shared with the kernel |
//!
//! [`pagemap`] tells which pages of a process are its own, for who saves them.
//!
//! [`vdso`] is what programs find as `AT_SYSINFO_EHDR` on every platform.

mod address_space;
mod fpu;
pub mod pagemap;
pub mod ptrace;
pub mod systrap;
mod thread;
mod trap;
pub mod vdso;

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use cloister_abi::Errno;

pub use address_space::{AddressSpace, Backing, Mapping, Protection};
pub use fpu::FpuState;
pub use thread::{CpuTime, Thread};
pub use trap::{Exception, Trap, TrapHandler};

/// A way to run guest code.
pub trait Platform: Send + Sync + std::fmt::Debug {
    /// Returns the name by which `--platform` knows it.
    fn name(&self) -> &'static str;

    /// Makes an address space that holds nothing of the guest's.
    ///
    /// # Errors
    ///
    /// `EAGAIN` or `ENOMEM` if the host has no room for another process.
    fn new_address_space(&self) -> Result<Arc<dyn AddressSpace>, Errno>;

    /// Sets what the guest's [`vdso`] adds to the host's clocks; nothing until then. For when no guest thread runs: a
    /// reader might see one half of the old and one of the new.
    ///
    /// # Errors
    ///
    /// The host's.
    fn set_clock_offsets(&self, offsets: vdso::ClockOffsets) -> Result<(), Errno>;

    /// Runs guest threads until [`Supervisor::is_finished`]; called once, on the host thread that made the
    /// platform.
    ///
    /// # Errors
    ///
    /// If the host refuses something without which no thread can run; the sandbox ends.
    fn run(&self, supervisor: &dyn Supervisor) -> std::io::Result<()>;
}

/// What a platform asks of the kernel, besides the handling of traps.
pub trait Supervisor: Sync {
    /// Runs what became due: woken tasks, timers, host descriptors. Returns how long nothing more is due
    /// (`None`: until an event). Never blocks.
    fn run_pending(&self) -> Option<Duration>;

    /// The same, without a look at host descriptors. For when others look whether [`Supervisor::event_fd`] is readable.
    fn run_due(&self) -> Option<Duration> {
        self.run_pending()
    }

    /// Runs the tasks that were woken since, if there can be any, and nothing else. Never blocks.
    fn run_woken(&self) {}

    /// Called right before the platform's thread sleeps. Returns whether it may; otherwise there is something to do for
    /// [`Supervisor::run_pending`] already.
    fn may_sleep(&self) -> bool {
        true
    }

    /// Returns a descriptor that polls readable when [`Supervisor::run_pending`] has something to do, apart from
    /// the passing of the time it returned: as long as [`Supervisor::may_sleep`] was the last that was called.
    fn event_fd(&self) -> BorrowedFd<'_>;

    /// Returns whether the last container is gone.
    fn is_finished(&self) -> bool;
}
