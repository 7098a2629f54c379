//! An inotify instance.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use cloister_abi::ioctl;
use cloister_sync::{Lock, LockGuard, class};

use super::queue::{EventQueue, Queued, WatchMask};
use super::watch::Watch;
use crate::context::SyscallCx;
use crate::error::{Errno, SyscallResult, fail};
use crate::event::{Events, WaitQueue};
use crate::fs::notify::Watcher;
use crate::fs::{Dentry, FileCx, FileOps, OpenFile, Sink};
use crate::prelude::errno;
use crate::syscall::Address;

/// The most watches of an instance.
const MAX_WATCHES: usize = 1 << 16;

/// An inotify instance.
#[derive(Debug, Default)]
pub(crate) struct Inotify {
    inner: Arc<Inner>,
}

/// What the watches of an instance refer to.
#[derive(Debug, Default)]
pub(super) struct Inner {
    state: Lock<State, { class::STREAM }>,
    queue: WaitQueue,
}

#[derive(Debug, Default)]
struct State {
    events: EventQueue,
    watches: BTreeMap<i32, Arc<Watch>>,
    last_descriptor: i32,
}

type StateGuard<'a> = LockGuard<'a, State>;

impl Inner {
    /// Queues an event.
    pub(super) fn push(&self, event: Queued) {
        self.state.lock().events.push(event);
        self.queue.wake_one(Events::READABLE);
    }

    /// Removes a watch, and tells so. Returns whether there was one.
    pub(super) fn remove(&self, descriptor: i32) -> bool {
        let watch = self.state.lock().watches.remove(&descriptor);
        let had_one = watch.is_some();
        if had_one {
            let mask = WatchMask::IGNORED.bits();
            self.push(Queued { watch: descriptor, mask, cookie: 0, name: None });
        }
        had_one
    }
}

impl Inotify {
    /// Watches the inode of `dentry`, or changes the watch that there is. Returns the watch's descriptor.
    ///
    /// # Errors
    ///
    /// `EEXIST` if there is a watch and must not be, `ENOSPC` if there are too many.
    pub(crate) fn watch(&self, dentry: &Arc<Dentry>, mask: WatchMask) -> Result<i32, Errno> {
        let mut state = self.inner.state.lock();
        let inode = dentry.inode();
        if let Some(watch) = state.watches.values().find(|watch| Arc::ptr_eq(watch.dentry.inode(), inode)) {
            if mask.contains(WatchMask::MUST_CREATE) {
                return Err(errno::EEXIST);
            }
            watch.set_mask(if mask.contains(WatchMask::ADD) { watch.mask() | mask } else { mask });
            return Ok(watch.descriptor);
        }
        if state.watches.len() >= MAX_WATCHES {
            return Err(errno::ENOSPC);
        }
        let descriptor = state.last_descriptor.checked_add(1).ok_or(errno::ENOSPC)?;
        state.last_descriptor = descriptor;
        self.add(state, descriptor, dentry, mask);
        Ok(descriptor)
    }

    fn add(&self, mut state: StateGuard<'_>, descriptor: i32, dentry: &Arc<Dentry>, mask: WatchMask) {
        let instance = Arc::downgrade(&self.inner);
        let watch = Arc::new(Watch::new(descriptor, instance, Arc::clone(dentry), mask));
        state.watches.insert(descriptor, Arc::clone(&watch));
        drop(state);
        let watcher: Arc<dyn Watcher> = watch;
        dentry.inode().anchors().get_or_init().watches.add(Arc::downgrade(&watcher));
    }

    /// Makes an instance with events that were not read yet, and no watches.
    pub(super) fn with_events(events: EventQueue, last_descriptor: i32) -> Self {
        let state = State { events, watches: BTreeMap::new(), last_descriptor };
        Self { inner: Arc::new(Inner { state: Lock::new(state), queue: WaitQueue::new() }) }
    }

    /// Returns the events that were not read yet, the watches, and the last descriptor.
    pub(super) fn saved_parts(&self) -> (Vec<Queued>, Vec<Arc<Watch>>, i32) {
        let state = self.inner.state.lock();
        (state.events.to_vec(), state.watches.values().cloned().collect(), state.last_descriptor)
    }

    /// Adds a watch with the descriptor that it had.
    ///
    /// # Errors
    ///
    /// `EINVAL` if another has that, or there are too many.
    pub(super) fn restore_watch(
        &self,
        descriptor: i32,
        dentry: &Arc<Dentry>,
        mask: WatchMask,
    ) -> Result<(), Errno> {
        let state = self.inner.state.lock();
        if state.watches.contains_key(&descriptor) || state.watches.len() >= MAX_WATCHES {
            return Err(errno::EINVAL);
        }
        self.add(state, descriptor, dentry, mask);
        Ok(())
    }

    /// Removes a watch.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is none.
    pub(crate) fn remove(&self, descriptor: i32) -> Result<(), Errno> {
        if self.inner.remove(descriptor) { Ok(()) } else { Err(errno::EINVAL) }
    }
}

impl FileOps for Inotify {
    fn is_stream(&self) -> bool {
        true
    }

    fn read(&self, _cx: &FileCx<'_>, into: &mut dyn Sink) -> Result<usize, Errno> {
        self.inner.state.lock().events.read(into)
    }

    fn poll(&self, _file: &OpenFile) -> Events {
        if self.inner.state.lock().events.bytes() > 0 { Events::READABLE } else { Events::empty() }
    }

    fn poll_queue(&self) -> Option<&WaitQueue> {
        Some(&self.inner.queue)
    }

    fn ioctl(&self, cx: &mut SyscallCx<'_>, _file: &OpenFile, request: u32, arg: Address) -> SyscallResult {
        if request != ioctl::FIONREAD {
            return Err(fail(errno::ENOTTY, "not a request of inotify instances"));
        }
        let bytes = self.inner.state.lock().events.bytes();
        cx.memory().write(arg, &i32::try_from(bytes).unwrap_or(i32::MAX))?;
        Ok(().into())
    }

    fn fd_info(&self) -> String {
        let mut lines = String::new();
        for watch in self.inner.state.lock().watches.values() {
            let mask = watch.mask().bits();
            // Writing to a string can't fail.
            let _ = writeln!(lines, "inotify wd:{:x} mask:{mask:x} ignored_mask:0", watch.descriptor);
        }
        lines
    }
}
