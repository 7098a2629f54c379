//! `SIGCHLD`: how the host says that a stub process stopped or died.
//!
//! A tracer keeps the signal blocked except while it sleeps in `ppoll(2)`, so a report that comes between the last
//! look and the sleep ends the sleep at once. The signal is the process', though, and another thread that does not
//! block it might get it: the handler then passes it on to every tracer.

#![expect(unsafe_code, reason = "signal masks and handlers of this thread, and ppoll with a mask")]

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use cloister_abi::errno;
use cloister_footprint::Footprint;

/// The host threads that wait for stub processes: one in boot, more in tests.
static TRACERS: [AtomicI32; 64] = [const { AtomicI32::new(0) }; 64];

/// Makes the calling host thread one that [`Sleeper::sleep`] can wake for stub processes, as long as it lives.
#[derive(Debug)]
pub(crate) struct Sleeper {
    slot: &'static AtomicI32,
    /// The thread's mask without `SIGCHLD`.
    mask: MaskSet,
    footprint: Footprint,
}

#[derive(Clone, Copy)]
struct MaskSet(libc::sigset_t);

impl std::fmt::Debug for MaskSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MaskSet")
    }
}

impl Sleeper {
    /// Blocks `SIGCHLD` in this thread and installs the handler.
    pub(crate) fn new() -> std::io::Result<Self> {
        let tid = rustix::thread::gettid().as_raw_pid();
        let slot = TRACERS
            .iter()
            .find(|slot| slot.compare_exchange(0, tid, Ordering::Relaxed, Ordering::Relaxed).is_ok())
            .ok_or_else(|| std::io::Error::other("too many platforms in this process"))?;
        let handler: extern "C" fn(i32, *const libc::siginfo_t, *const libc::c_void) = pass_on;
        // SAFETY: all zeros is a valid `sigaction`, with an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART | libc::SA_SIGINFO;
        // SAFETY: the handler does only what is safe in a handler: atomic loads and system calls.
        if unsafe { libc::sigaction(libc::SIGCHLD, &raw const action, std::ptr::null_mut()) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: all zeros is a valid (empty) set.
        let mut blocked: libc::sigset_t = unsafe { std::mem::zeroed() };
        let mut mask = blocked;
        // SAFETY: `blocked` is a valid set.
        unsafe { libc::sigaddset(&raw mut blocked, libc::SIGCHLD) };
        // SAFETY: both sets are valid.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const blocked, &raw mut mask) };
        // SAFETY: `mask` is a valid set.
        unsafe { libc::sigdelset(&raw mut mask, libc::SIGCHLD) };
        Ok(Self { slot, mask: MaskSet(mask), footprint: Footprint::default() })
    }

    /// Sleeps until a stub process has something to report, one of `descriptors` is readable, or `timeout` is over. May
    /// return sooner.
    pub(crate) fn sleep(
        &self,
        descriptors: [BorrowedFd<'_>; 2],
        timeout: Option<Duration>,
    ) -> std::io::Result<()> {
        let mut polled =
            descriptors.map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 });
        let patience = self.footprint.patience().filter(|patience| timeout.is_none_or(|it| it > *patience));
        let timeout = patience.or(timeout).map(|timeout| libc::timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: `polled` has two elements; the time-out and the mask are valid or null.
        let result = unsafe { libc::ppoll(polled.as_mut_ptr(), 2, timeout, &raw const self.mask.0) };
        if result == 0 && patience.is_some() {
            self.footprint.reduce();
        }
        if result == -1 {
            let error = std::io::Error::last_os_error();
            return if error.raw_os_error() == Some(errno::EINTR.raw()) { Ok(()) } else { Err(error) };
        }
        Ok(())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.slot.store(0, Ordering::Relaxed);
    }
}

/// The handler. On a tracer the interruption is all that it takes, but the host keeps one pending `SIGCHLD` at most,
/// so it may have been meant for others too.
extern "C" fn pass_on(_signal: i32, info: *const libc::siginfo_t, _context: *const libc::c_void) {
    // SAFETY: the kernel gives a valid `siginfo_t` to a handler with `SA_SIGINFO`.
    if unsafe { (*info).si_code } == libc::SI_TKILL {
        return; // passed on already
    }
    // SAFETY: reads this thread's `errno`, which the interrupted code may be about to look at.
    let errno = unsafe { *libc::__errno_location() };
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
    // SAFETY: restores what was read above.
    unsafe { *libc::__errno_location() = errno };
}
