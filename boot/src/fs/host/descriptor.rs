//! A host descriptor that is read and written without ever waiting.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::ReadWriteFlags;

use super::Terminal;
use crate::error::Errno;
use crate::event::{Events, WaitQueue};
use crate::kernel::{HostEvents, Reactor, Watch};
use crate::prelude::errno;

/// The offset that stands for "the current position" in `preadv2(2)`.
const CURRENT: u64 = u64::MAX;

/// How much is written at once to a file of which only `poll` tells whether it has room: a terminal may have less than
/// this when `poll` says that it is writable, but not for long.
const MAX_BLIND_WRITE: usize = 256;

/// A host descriptor of a pipe, a socket, a terminal or another device.
///
/// Reads and writes say `RWF_NOWAIT` where the host knows that for the file. Where it does not (terminals), a look by
/// `poll` comes first. That leaves a gap if another process of the host takes the input in between: then the kernel waits
/// until there is more, as any other reader of a shared terminal would.
#[derive(Debug)]
pub(crate) struct HostDescriptor {
    fd: OwnedFd,
    /// The number by which the container was given it; `None`: it was put in later.
    given_as: Option<u32>,
    queue: WaitQueue,
    watch: OnceLock<Watch>,
    /// The terminal that it is, which is told of a hang-up.
    terminal: OnceLock<Weak<Terminal>>,
    /// Whether `RWF_NOWAIT` is worth trying.
    has_no_wait: AtomicBool,
}

impl HostDescriptor {
    /// Takes `fd` in, and watches it if it can ever be not ready.
    ///
    /// # Errors
    ///
    /// Those of `epoll_ctl(2)`.
    pub(crate) fn new(
        fd: OwnedFd,
        given_as: Option<u32>,
        reactor: &Arc<Reactor>,
    ) -> Result<Arc<Self>, Errno> {
        let this = Arc::new(Self {
            fd,
            given_as,
            queue: WaitQueue::new(),
            watch: OnceLock::new(),
            terminal: OnceLock::new(),
            has_no_wait: AtomicBool::new(true),
        });
        let watcher: Arc<dyn HostEvents> = Arc::clone(&this) as Arc<_>;
        let events = Events::IN | Events::OUT | Events::RDHUP | Events::PRI;
        match reactor.watch(this.fd.as_fd(), events, Arc::downgrade(&watcher)) {
            Ok(watch) => drop(this.watch.set(watch)),
            // Devices such as /dev/null are always ready.
            Err(error) if error.raw_os_error() == Some(errno::EPERM.raw()) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(this)
    }

    /// Notes the terminal that it is.
    pub(super) fn set_terminal(&self, terminal: Weak<Terminal>) {
        // It is one for good.
        let _ = self.terminal.set(terminal);
    }

    /// Returns the descriptor.
    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Returns the number by which the container was given it.
    pub(crate) fn given_as(&self) -> Option<u32> {
        self.given_as
    }

    /// Returns the queue that is woken when something changes; `None` if it is always ready.
    pub(crate) fn queue(&self) -> Option<&WaitQueue> {
        self.watch.get().map(|_| &self.queue)
    }

    /// Returns the conditions that it is in.
    pub(crate) fn poll(&self) -> Events {
        let asked = PollFlags::IN | PollFlags::OUT | PollFlags::RDHUP | PollFlags::PRI;
        let mut fds = [PollFd::new(&self.fd, asked)];
        if rustix::event::poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_err() {
            return Events::ERR;
        }
        let found = fds.first().map_or(PollFlags::empty(), PollFd::revents);
        with_synonyms(Events::from_bits_truncate(u32::from(found.bits())))
    }

    /// Reads what there is.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if there is nothing yet, and those of `read(2)`.
    pub(crate) fn read(&self, into: &mut [u8]) -> Result<usize, Errno> {
        if self.queue().is_none() {
            return rustix::io::read(&self.fd, into).map_err(to_errno);
        }
        if self.has_no_wait.load(Ordering::Relaxed) {
            let slices = &mut [IoSliceMut::new(into)];
            match rustix::io::preadv2(&self.fd, slices, CURRENT, ReadWriteFlags::NOWAIT) {
                Err(error) if is_unsupported(error) => self.has_no_wait.store(false, Ordering::Relaxed),
                result => return result.map_err(to_errno),
            }
        }
        if !self.poll().intersects(Events::IN | Events::ALWAYS) {
            return Err(errno::EAGAIN);
        }
        rustix::io::read(&self.fd, into).map_err(to_errno)
    }

    /// Writes what there is room for.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if there is no room yet, and those of `write(2)`.
    pub(crate) fn write(&self, from: &[u8]) -> Result<usize, Errno> {
        if self.queue().is_none() {
            return rustix::io::write(&self.fd, from).map_err(to_errno);
        }
        if self.has_no_wait.load(Ordering::Relaxed) {
            let slices = &[IoSlice::new(from)];
            match rustix::io::pwritev2(&self.fd, slices, CURRENT, ReadWriteFlags::NOWAIT) {
                Err(error) if is_unsupported(error) => self.has_no_wait.store(false, Ordering::Relaxed),
                result => return result.map_err(to_errno),
            }
        }
        let mut done = 0;
        while let Some(rest) = from.get(done..).filter(|rest| !rest.is_empty()) {
            if !self.poll().intersects(Events::OUT | Events::ALWAYS) {
                break;
            }
            let part = rest.get(..MAX_BLIND_WRITE).unwrap_or(rest);
            match rustix::io::write(&self.fd, part) {
                Ok(written) => done += written,
                Err(error) if done == 0 => return Err(to_errno(error)),
                Err(_) => break,
            }
        }
        if done == 0 && !from.is_empty() { Err(errno::EAGAIN) } else { Ok(done) }
    }

    /// Returns how many bytes can be read (`FIONREAD`).
    ///
    /// # Errors
    ///
    /// Those of the host.
    pub(crate) fn readable_bytes(&self) -> Result<u64, Errno> {
        rustix::io::ioctl_fionread(&self.fd).map_err(to_errno)
    }
}

impl HostEvents for HostDescriptor {
    fn on_host_events(&self, events: Events) {
        self.queue.wake(with_synonyms(events));
        if events.contains(Events::HUP)
            && let Some(terminal) = self.terminal.get().and_then(Weak::upgrade)
        {
            terminal.on_hang_up();
        }
    }
}

fn with_synonyms(mut events: Events) -> Events {
    events.set(Events::RDNORM, events.contains(Events::IN));
    events.set(Events::WRNORM, events.contains(Events::OUT));
    events
}

/// Returns whether the host does not know `RWF_NOWAIT` for the file. (The call is older than any kernel that boot runs
/// on, and the current position is always allowed.)
fn is_unsupported(error: rustix::io::Errno) -> bool {
    use rustix::io::Errno as E;
    [E::OPNOTSUPP, E::NOSYS, E::INVAL, E::SPIPE].contains(&error)
}

/// Turns an error of the host into the guest's; the guest is not told of signals that are the kernel's own.
pub(super) fn to_errno(error: rustix::io::Errno) -> Errno {
    match Errno::from_raw(error.raw_os_error()) {
        errno::EINTR => errno::EAGAIN,
        errno => errno,
    }
}
