//! Readiness of host descriptors: the sandbox's stdio, control connections, host sockets.
//!
//! # Locking
//!
//! The table's lock is [`class::REACTOR`]; it is not held while a watcher is told.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Weak};

use cloister_sync::{Lock, class};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use slab::Slab;

use crate::event::Events;

/// Somebody who is told about a host descriptor.
pub(crate) trait HostEvents: Send + Sync {
    /// Tells that the descriptor has `events`. Edge-triggered: each change is told once.
    fn on_host_events(&self, events: Events);
}

/// The host descriptors that the sandbox waits for.
#[derive(Debug)]
pub(crate) struct Reactor {
    epoll: OwnedFd,
    wake_up: OwnedFd,
    watchers: Lock<Slab<Weak<dyn HostEvents>>, { class::REACTOR }>,
}

/// A watched descriptor; the watch ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    reactor: Arc<Reactor>,
    key: usize,
    fd: OwnedFd,
}

/// The token of the wake-up descriptor, which no slab entry has.
const WAKE_UP: u64 = u64::MAX;

impl Reactor {
    /// Makes a reactor that watches nothing.
    ///
    /// # Errors
    ///
    /// If the host has no descriptor left.
    pub(crate) fn new() -> std::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
        let wake_up = rustix::event::eventfd(0, flags)?;
        epoll::add(&epoll, &wake_up, epoll::EventData::new_u64(WAKE_UP), epoll::EventFlags::IN)?;
        Ok(Self { epoll, wake_up, watchers: Lock::new(Slab::new()) })
    }

    /// Returns the descriptor that is readable while [`Reactor::dispatch`] has something to tell.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Makes [`Reactor::fd`] readable once.
    pub(crate) fn notify(&self) {
        // The counter can't overflow in practice, and if it did it would be readable already.
        let _ = rustix::io::write(&self.wake_up, &1_u64.to_ne_bytes());
    }

    /// Tells `watcher` about changes of `fd` for as long as the watch lives.
    ///
    /// # Errors
    ///
    /// `EPERM` if `fd` is of a kind that is always ready (a regular file), or what `epoll_ctl(2)` says.
    pub(crate) fn watch(
        self: &Arc<Self>,
        fd: BorrowedFd<'_>,
        events: Events,
        watcher: Weak<dyn HostEvents>,
    ) -> std::io::Result<Watch> {
        let fd = fd.try_clone_to_owned()?;
        let key = self.watchers.lock().insert(watcher);
        let flags = epoll::EventFlags::from_bits_retain(events.bits()) | epoll::EventFlags::ET;
        // The watch removes the entry again if the descriptor can't be watched.
        let watch = Watch { reactor: Arc::clone(self), key, fd };
        epoll::add(&self.epoll, &watch.fd, epoll::EventData::new_u64(key as u64), flags)?;
        Ok(watch)
    }

    /// Tells all watchers what changed since the last call. Never blocks.
    pub(crate) fn dispatch(&self) {
        let mut ready: Vec<epoll::Event> = Vec::with_capacity(64);
        let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        if epoll::wait(&self.epoll, spare_capacity(&mut ready), Some(&timeout)).is_err() {
            return;
        }
        for event in ready {
            let token = event.data.u64();
            if token == WAKE_UP {
                let mut count = [0; 8];
                let _ = rustix::io::read(&self.wake_up, &mut count);
                continue;
            }
            let flags = event.flags;
            let watcher = usize::try_from(token)
                .ok()
                .and_then(|key| self.watchers.lock().get(key).and_then(Weak::upgrade));
            if let Some(watcher) = watcher {
                watcher.on_host_events(Events::from_bits_truncate(flags.bits()));
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = epoll::delete(&self.reactor.epoll, &self.fd);
        self.reactor.watchers.lock().try_remove(self.key);
    }
}
