//! The systrap platform: guest threads run untraced, and trap by a signal in themselves.
//!
//! | module | subject |
//! |---|---|
//! | `filter` | what guest threads may do: nothing but wait, wake the kernel, and return |
//! | `slot` | the memory that a thread shares with the kernel, with its signal frame |
//! | `call_sites` | system calls that are jumps instead of signals |
//! | `copy` | the guest's memory, copied by its own threads |
//! | `owners` | who has which slot |
//! | `commands` | how helpers are told what to do while they run |
//! | `threads` | guest threads: made, stopped, resumed, ended |
//! | `run` | the loop: when to look, and when to sleep |
//!
//! Address spaces are those of the [`ptrace`] platform: a helper process that is traced. Guest threads
//! differ.
//!
//! # A trap
//!
//! Each system call of guest code is refused by the thread's filter, with `SIGSYS`. The stub's handler (see
//! `ptrace::image`) runs on an alternate stack in the thread's slot, so that the frame with all registers lies in memory
//! that the kernel sees too. The handler says so in the slot's state, wakes the kernel if it sleeps, and waits: spinning
//! for a while, since an answer takes less time than a wake-up, then in `futex(2)`. The kernel reads the registers in
//! the frame, writes those to go on with, and changes the state; the handler returns. Faults and interruptions
//! (`SIGUSR1`) come the same way.
//!
//! # Trust
//!
//! All threads of an address space can write to their slots, at any time. What they can gain is what they could have
//! anyway: other registers for themselves. The kernel never uses a slot for more than the thread that has it, and checks
//! each word. Slots of other address spaces are not mapped. Guest threads hold no descriptors.

pub(crate) mod call_sites;
mod commands;
mod copy;
mod filter;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod owners;
mod run;
pub(crate) mod slot;
mod threads;
pub(crate) mod window;

use std::os::fd::AsFd;
use std::sync::Arc;

use cloister_abi::Errno;
use zerocopy::IntoBytes;

pub(crate) use self::commands::Commands;
pub(crate) use self::owners::Owners;
use self::slot::Slots;
use self::threads::GuestThreads;
use crate::ptrace::image::PAGE;
use crate::ptrace::space::{Space, Threads};
use crate::ptrace::{self, Setup, Stubs, sys};
use crate::vdso::ClockOffsets;
use crate::{AddressSpace, Protection, Supervisor};

/// The signals that the stub handles: faults, refused system calls, and interruptions.
const SIGNALS: [i32; 7] = [
    libc::SIGSYS,
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
    threads::INTERRUPT.as_raw(),
];

/// Whether call sites in the text of programs are changed, so that their system calls cost less. Programs that look at
/// their own text see that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patching {
    /// They are.
    On,
    /// They are not.
    Off,
}

/// The systrap platform.
#[derive(Debug)]
pub struct Platform {
    stubs: Stubs,
    threads: Arc<GuestThreads>,
}

impl Platform {
    /// Starts the first stub process; the calling host thread becomes the tracer of the helpers. As
    /// [`ptrace::Platform::new`].
    ///
    /// # Errors
    ///
    /// The host's, and [`Unsupported`](std::io::ErrorKind::Unsupported) on a processor without `wrfsbase`, or with
    /// registers that do not fit a slot.
    pub fn new(patching: Patching) -> std::io::Result<Self> {
        Self::with_threads(patching, slot::MOST)
    }

    /// As [`Platform::new`], for at most so many guest threads at a time, and at most as many as `new` has. More are
    /// refused with `EAGAIN`.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn with_threads(patching: Patching, most: usize) -> std::io::Result<Self> {
        check_processor()?;
        let layout = ptrace::random_layout()?;
        let (process, thread) = (rustix::process::getpid(), rustix::thread::gettid());
        let number = |pid: rustix::process::Pid| u64::from(pid.as_raw_pid().cast_unsigned());
        let thread_calls: [ptrace::filter::Allowed<'_>; 12] = [
            (libc::SYS_clone, &[(0, ptrace::filter::CLONE_UNTRACED_FLAGS)]),
            (libc::SYS_sigaltstack, &[]),
            (libc::SYS_close, &[(0, 0)]),
            (libc::SYS_close, &[(0, 2)]),
            (libc::SYS_prctl, &[(0, libc::PR_SET_PDEATHSIG as u64), (1, libc::SIGKILL as u64)]),
            (libc::SYS_seccomp, &[(0, libc::SECCOMP_SET_MODE_FILTER.into()), (1, 0)]),
            // No more than to wait and to wake: all can reach the words on which threads of others sleep.
            (libc::SYS_futex, &[(1, libc::FUTEX_WAIT as u64)]),
            (libc::SYS_futex, &[(1, libc::FUTEX_WAKE as u64)]),
            (libc::SYS_rt_sigreturn, &[]),
            (libc::SYS_sched_yield, &[]),
            // The answers of helpers.
            (libc::SYS_lseek, &[(0, 2), (2, libc::SEEK_SET as u64)]),
            (libc::SYS_tgkill, &[(0, number(process)), (1, number(thread)), (2, libc::SIGCHLD as u64)]),
        ];
        let thread_filter = filter::build(&(layout.code..layout.code + PAGE), process, thread);
        let slots = Arc::new(Slots::new(&layout, most, run::processors())?);
        if !slots.have_room() {
            return unsupported("the processor's vector registers do not fit a thread's slot");
        }
        let commands = Commands::new(Arc::clone(&slots))?;
        let answers = rustix::io::fcntl_dupfd_cloexec(commands.answers(), 0)?;
        let setup = Setup {
            thread_calls: &thread_calls,
            thread_filter: Some(thread_filter),
            answers: Some(answers.as_fd()),
        };
        slots.set_waker(process, thread);
        let mut made = None;
        let stubs = Stubs::start(
            layout,
            setup,
            |tracer, filter| {
                tracer.set_commands(commands);
                let threads = Arc::new(GuestThreads::new(Arc::clone(tracer), slots, filter, patching));
                made = Some(Arc::clone(&threads));
                Ok(threads as Arc<dyn Threads>)
            },
            |empty| {
                call_sites::make_table(empty, layout.call_site)?;
                install_handlers(empty, layout.scratch, layout.handler)
            },
        )?;
        let threads = made.ok_or(std::io::ErrorKind::NotFound)?;
        let doorbell = layout.doorbell..layout.doorbell + PAGE;
        let shared = libc::MAP_SHARED;
        stubs
            .empty
            .map_file(&doorbell, Protection::READ, shared, threads.slots().file().as_fd(), 0)
            .map_err(ptrace::tracer::to_io)?;
        Ok(Self { stubs, threads })
    }
}

/// Has the first stub process handle [`SIGNALS`], and thereby all that are copied from it.
fn install_handlers(empty: &Space, scratch: u64, handler: u64) -> Result<(), Errno> {
    /// `SA_RESTORER`: the host insists on one, which the handler never returns to.
    const RESTORER: u64 = 0x0400_0000;
    let flags = RESTORER | (libc::SA_SIGINFO | libc::SA_ONSTACK) as u64;
    // struct kernel_sigaction: handler, flags, restorer, mask. All other signals wait while one is handled.
    let action = [handler, flags, handler, u64::MAX];
    if sys::write_memory(empty.helper(), scratch, action.as_bytes()) != size_of_val(&action) {
        return Err(cloister_abi::errno::EFAULT);
    }
    for signal in SIGNALS {
        let arguments = [u64::from(signal.cast_unsigned()), scratch, 0, 8, 0, 0];
        empty.call(libc::SYS_rt_sigaction, arguments)?;
    }
    Ok(())
}

fn unsupported<T>(what: &'static str) -> std::io::Result<T> {
    Err(std::io::Error::new(std::io::ErrorKind::Unsupported, what))
}

/// Checks that the processor and the host have what the stub's handler needs.
fn check_processor() -> std::io::Result<()> {
    /// `HWCAP2_FSGSBASE`.
    const FSGSBASE: usize = 2;
    let (_, features) = rustix::param::linux_hwcap();
    if features & FSGSBASE == 0 {
        return unsupported("the processor or the host does not allow wrfsbase");
    }
    if rustix::param::linux_minsigstksz() > slot::STACK_BYTES {
        return unsupported("the processor's registers do not fit a thread's slot");
    }
    Ok(())
}

impl crate::Platform for Platform {
    fn name(&self) -> &'static str {
        "systrap"
    }

    fn new_address_space(&self) -> Result<Arc<dyn AddressSpace>, Errno> {
        self.stubs.empty.fork()
    }

    fn set_clock_offsets(&self, offsets: ClockOffsets) -> Result<(), Errno> {
        self.stubs.set_clock_offsets(offsets)
    }

    fn run(&self, supervisor: &dyn Supervisor) -> std::io::Result<()> {
        run::run(&self.threads, &self.stubs.sleeper, supervisor)
    }
}
