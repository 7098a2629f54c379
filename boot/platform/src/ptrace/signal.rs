//! `SIGCHLD`: how the host says that a stub process stopped or died, and how guest threads wake the kernel's thread.
//!
//! A tracer keeps the signal blocked, and takes it from a descriptor (`signalfd(2)`) that it sleeps on, so a report that
//! comes between the last look and the sleep ends the sleep at once. No handler runs, which would cost more than the
//! signal does. The signal is the process', though. Another thread that does not block it might get it: its handler then
//! passes it on to every tracer, as does a tracer that takes what may be another's.

#![expect(unsafe_code, reason = "the signal mask of this thread, a handler, and signalfd")]

use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use cloister_footprint::Footprint;
use rustix::event::{PollFd, PollFlags, Timespec};

/// The host threads that wait for stub processes: one in boot, more in tests.
static TRACERS: [AtomicI32; 64] = [const { AtomicI32::new(0) }; 64];

/// Makes the calling host thread one that [`Sleeper::sleep`] can wake for stub processes, as long as it lives.
#[derive(Debug)]
pub(crate) struct Sleeper {
    slot: &'static AtomicI32,
    signals: OwnedFd,
    footprint: Footprint,
}

/// What may have ended a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// A guest thread that wants nothing but to be looked at.
    ByThread,
    /// Anything.
    ByAny,
}

impl Sleeper {
    /// Blocks `SIGCHLD` in this thread and installs the handler.
    pub(crate) fn new() -> std::io::Result<Self> {
        let tid = rustix::thread::gettid().as_raw_pid();
        let slot = TRACERS
            .iter()
            .find(|slot| slot.compare_exchange(0, tid, Ordering::Relaxed, Ordering::Relaxed).is_ok())
            .ok_or_else(|| std::io::Error::other("too many platforms in this process"))?;
        let handler: extern "C" fn(i32, *const libc::siginfo_t, *const libc::c_void) = handle;
        // SAFETY: all zeros is a valid `sigaction`, with an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART | libc::SA_SIGINFO;
        // SAFETY: the handler does only what is safe in a handler: atomic loads and system calls.
        if unsafe { libc::sigaction(libc::SIGCHLD, &raw const action, std::ptr::null_mut()) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: all zeros is a valid (empty) set.
        let mut child: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: `child` is a valid set.
        unsafe { libc::sigaddset(&raw mut child, libc::SIGCHLD) };
        // SAFETY: the set is valid, and the old one is not wanted.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const child, std::ptr::null_mut()) };
        // SAFETY: the set is valid.
        let signals = unsafe { libc::signalfd(-1, &raw const child, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if signals == -1 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: a new descriptor, which nobody else has.
        let signals = unsafe { OwnedFd::from_raw_fd(signals) };
        Ok(Self { slot, signals, footprint: Footprint::default() })
    }

    /// Sleeps until a stub process has something to report, one of `descriptors` is readable, or `timeout` is over. May
    /// return sooner.
    pub(crate) fn sleep(
        &self,
        descriptors: [BorrowedFd<'_>; 2],
        timeout: Option<Duration>,
    ) -> std::io::Result<Woken> {
        let [first, second] = descriptors;
        let mut polled =
            [first, second, self.signals.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        let patience = self.footprint.patience().filter(|patience| timeout.is_none_or(|it| it > *patience));
        let timeout = patience.or(timeout).map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let count = match rustix::event::poll(&mut polled, timeout.as_ref()) {
            Ok(count) => count,
            Err(rustix::io::Errno::INTR) => return Ok(Woken::ByAny),
            Err(error) => return Err(error.into()),
        };
        if count == 0 && patience.is_some() {
            self.footprint.reduce();
        }
        let [.., signals] = polled;
        let is_signal = !signals.revents().is_empty();
        Ok(if is_signal && self.take_signals() && count == 1 { Woken::ByThread } else { Woken::ByAny })
    }

    /// Takes the signals that came. Returns whether all are of guest threads.
    fn take_signals(&self) -> bool {
        /// How many there are at most: one for this thread, and one for the process.
        const MOST: usize = 2;
        const BYTES: usize = size_of::<libc::signalfd_siginfo>();
        // Where `ssi_code` and `ssi_pid` are.
        const CODE: usize = std::mem::offset_of!(libc::signalfd_siginfo, ssi_code);
        const SENDER: usize = std::mem::offset_of!(libc::signalfd_siginfo, ssi_pid);
        let mut infos = [0; MOST * BYTES];
        let Ok(length) = rustix::io::read(&self.signals, &mut infos) else { return false };
        let own = rustix::process::getpid().as_raw_pid();
        let word = |info: &[u8], at: usize| {
            info.get(at..).and_then(|bytes| bytes.first_chunk()).copied().map_or(0, i32::from_ne_bytes)
        };
        let mut infos = infos[..length].chunks_exact(BYTES);
        let is_by_thread =
            infos.clone().all(|info| word(info, CODE) == libc::SI_TKILL && word(info, SENDER) != own);
        if infos.any(|info| word(info, CODE) != libc::SI_TKILL) {
            pass_on();
        }
        is_by_thread
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.slot.store(0, Ordering::Relaxed);
    }
}

/// The handler in threads that are no tracers.
extern "C" fn handle(_signal: i32, info: *const libc::siginfo_t, _context: *const libc::c_void) {
    // SAFETY: the kernel gives a valid `siginfo_t` to a handler with `SA_SIGINFO`.
    if unsafe { (*info).si_code } == libc::SI_TKILL {
        return; // passed on already
    }
    // SAFETY: reads this thread's `errno`, which the interrupted code may be about to look at.
    let errno = unsafe { *libc::__errno_location() };
    pass_on();
    // SAFETY: restores what was read above.
    unsafe { *libc::__errno_location() = errno };
}

/// Passes a signal on to all tracers but the calling thread: the host keeps one pending `SIGCHLD` of the process at most, so
/// it may have been meant for others too.
fn pass_on() {
    // SAFETY: a plain system call.
    let process = unsafe { libc::getpid() };
    // SAFETY: a plain system call.
    let thread = unsafe { libc::gettid() };
    for tracer in &TRACERS {
        let tracer = tracer.load(Ordering::Relaxed);
        if tracer != 0 && tracer != thread {
            // SAFETY: at worst the thread is gone, and nothing happens.
            unsafe { libc::syscall(libc::SYS_tgkill, process, tracer, libc::SIGCHLD) };
        }
    }
}
