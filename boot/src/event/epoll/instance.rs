//! An epoll instance.

use std::any::Any;
use std::sync::Arc;

use cloister_sync::{Lock, class};
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::interest::{EpollFlags, Interest, Key, Setting};
use super::nesting::{self, Nesting};
use super::ready_list::ReadyList;
use crate::error::Errno;
use crate::event::{Events, Registration, WaitQueue};
use crate::fs::{FileOps, OpenFile};
use crate::prelude::errno;

/// The most files that an instance can watch.
const MAX_INTERESTS: usize = 1 << 20;

/// What `epoll_wait` reports of a file.
#[derive(Debug)]
pub(crate) struct Report {
    /// The conditions.
    pub(crate) events: Events,
    /// What was set for the file.
    pub(crate) data: u64,
    interest: Arc<Interest>,
    setting: Setting,
}

/// An epoll instance. The file operations are a handle: parents keep weak references to what is inside.
#[derive(Debug, Default)]
pub(crate) struct Epoll {
    pub(super) inner: Arc<Inner>,
}

/// What an epoll instance consists of.
#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) interests: Lock<Interests, { class::EPOLL }>,
    pub(super) ready: Arc<ReadyList>,
}

/// What an instance watches, and by which instances it is watched.
#[derive(Debug, Default)]
pub(super) struct Interests {
    pub(super) map: HashMap<Key, Watched>,
    /// The instances that watch this one; those that are gone are swept out as others are added.
    pub(super) parents: Vec<std::sync::Weak<Inner>>,
    /// The number of interests at which those in files that are gone are swept out.
    sweep_at: usize,
}

/// An interest, and its place in the file's wait queue.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) interest: Arc<Interest>,
    registration: Registration,
}

/// Returns the epoll instance that `file` is.
pub(super) fn of(file: &OpenFile) -> Option<&Epoll> {
    (file.ops() as &dyn Any).downcast_ref()
}

impl Epoll {
    /// Returns the epoll instance that `file` is, if it is one.
    pub(crate) fn of(file: &OpenFile) -> Option<&Self> {
        of(file)
    }

    /// Adds an interest in `file`, known as `fd` (`EPOLL_CTL_ADD`).
    ///
    /// # Errors
    ///
    /// `EPERM` if `file` is always ready; `EEXIST` if it is watched already; `EINVAL` for flags that do not go together;
    /// `ELOOP` if instances would watch each other in a circle or over more than five levels; `ENOSPC` if there are too
    /// many interests.
    pub(crate) fn add(
        &self,
        nesting: &Nesting,
        file: &Arc<OpenFile>,
        fd: i32,
        setting: Setting,
    ) -> Result<(), Errno> {
        let queue = file.ops().poll_queue().ok_or(errno::EPERM)?;
        let watched = of(file);
        if setting.flags.contains(EpollFlags::EXCLUSIVE) {
            check_exclusive(setting)?;
            if watched.is_some() {
                return Err(errno::EINVAL);
            }
        }
        let key = Key::new(file, fd);
        let interest = Interest::new(key, file, &self.inner.ready, setting);
        let insert = || self.inner.insert(&interest, queue);
        match watched {
            Some(watched) => nesting.nest(&self.inner, &watched.inner, insert)?,
            None => insert()?,
        }
        self.inner.look_again(&interest);
        Ok(())
    }

    /// Changes the interest in `file`, and enables it again (`EPOLL_CTL_MOD`).
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is none; `EINVAL` if it is exclusive, or would be.
    pub(crate) fn modify(&self, file: &Arc<OpenFile>, fd: i32, setting: Setting) -> Result<(), Errno> {
        let queue = file.ops().poll_queue().ok_or(errno::EPERM)?;
        let interest = {
            let mut interests = self.inner.interests.lock();
            let watched = interests.map.get_mut(&Key::new(file, fd)).ok_or(errno::ENOENT)?;
            let flags = watched.interest.setting().flags | setting.flags;
            if flags.contains(EpollFlags::EXCLUSIVE) {
                return Err(errno::EINVAL);
            }
            watched.interest.set(setting);
            watched.registration = register(queue, &watched.interest, setting);
            Arc::clone(&watched.interest)
        };
        self.inner.look_again(&interest);
        Ok(())
    }

    /// Removes the interest in `file` (`EPOLL_CTL_DEL`).
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is none.
    pub(crate) fn remove(&self, file: &Arc<OpenFile>, fd: i32) -> Result<(), Errno> {
        let watched = {
            let mut interests = self.inner.interests.lock();
            interests.map.remove(&Key::new(file, fd)).ok_or(errno::ENOENT)?
        };
        watched.interest.disable();
        self.inner.ready.remove(&watched.interest);
        if let Some(child) = of(file) {
            nesting::forget_parent(&self.inner, &child.inner);
        }
        Ok(())
    }

    /// Returns what up to `max` interests have to report. What is reported must reach the guest, or be given back by
    /// [`Epoll::put_back`].
    pub(crate) fn take_reports(&self, max: usize) -> SmallVec<[Report; 16]> {
        let ready = &self.inner.ready;
        let (mut reports, mut again) = (SmallVec::new(), SmallVec::<[Arc<Interest>; 16]>::new());
        while reports.len() < max
            && let Some(interest) = ready.pop()
        {
            let Some((events, setting)) = interest.report() else { continue };
            if !setting.flags.intersects(EpollFlags::EDGE | EpollFlags::ONE_SHOT) {
                again.push(Arc::clone(&interest));
            }
            reports.push(Report { events, data: setting.data, interest, setting });
        }
        // Behind all others, and not before the end: so that each is reported once, and all get their turn.
        for interest in &again {
            ready.insert(interest);
        }
        if ready.len() > 0 {
            ready.waiters.wake_next(Events::READABLE);
        }
        reports
    }

    /// Gives back reports that did not reach the guest.
    pub(crate) fn put_back(&self, reports: &[Report]) {
        for report in reports {
            if report.setting.flags.contains(EpollFlags::ONE_SHOT) {
                report.interest.set(report.setting);
            }
            self.inner.ready.push(&report.interest);
        }
    }

    /// Returns the queue of those in `epoll_wait`.
    pub(crate) fn waiters(&self) -> &WaitQueue {
        &self.inner.ready.waiters
    }
}

impl Inner {
    fn insert(&self, interest: &Arc<Interest>, queue: &WaitQueue) -> Result<(), Errno> {
        let mut interests = self.interests.lock();
        if interests.map.len() >= interests.sweep_at {
            interests.map.retain(|_, watched| !watched.interest.is_gone());
            interests.sweep_at = (2 * interests.map.len()).max(64);
        }
        if interests.map.len() >= MAX_INTERESTS {
            return Err(errno::ENOSPC);
        }
        if interests.map.contains_key(&interest.key) {
            return Err(errno::EEXIST);
        }
        let registration = register(queue, interest, interest.setting());
        interests.map.insert(interest.key, Watched { interest: Arc::clone(interest), registration });
        Ok(())
    }

    /// Queues an interest that has just been registered if its file is ready already.
    fn look_again(&self, interest: &Arc<Interest>) {
        if interest.look().is_some() {
            self.ready.push(interest);
        }
    }

    /// Returns whether some interest has something to report.
    fn is_ready(&self) -> bool {
        let mut at = 0;
        while let Some(interest) = self.ready.get(at) {
            if interest.look().is_some() {
                return true;
            }
            at += 1;
        }
        false
    }
}

fn register(queue: &WaitQueue, interest: &Arc<Interest>, setting: Setting) -> Registration {
    let waker = Arc::clone(interest) as Arc<_>;
    if setting.flags.contains(EpollFlags::EXCLUSIVE) {
        queue.register_exclusive(setting.events, waker)
    } else {
        queue.register(setting.events, waker)
    }
}

/// Checks what `EPOLLEXCLUSIVE` goes together with.
fn check_exclusive(setting: Setting) -> Result<(), Errno> {
    let events = Events::IN | Events::OUT | Events::ALWAYS;
    let flags = EpollFlags::EXCLUSIVE | EpollFlags::WAKE_UP | EpollFlags::EDGE;
    if events.contains(setting.events) && flags.contains(setting.flags) { Ok(()) } else { Err(errno::EINVAL) }
}

impl FileOps for Epoll {
    fn is_stream(&self) -> bool {
        true
    }

    fn poll(&self, _file: &OpenFile) -> Events {
        if self.inner.is_ready() { Events::READABLE } else { Events::empty() }
    }

    fn poll_queue(&self) -> Option<&WaitQueue> {
        Some(&self.inner.ready.pollers)
    }

    fn fd_info(&self) -> String {
        let interests = self.inner.interests.lock();
        let mut lines = String::new();
        for watched in interests.map.values() {
            let setting = watched.interest.setting();
            let events = setting.events.bits() | setting.flags.bits();
            let line = format!(
                "tfd: {:8} events: {events:8x} data: {:16x}\n",
                watched.interest.key.fd, setting.data
            );
            lines.push_str(&line);
        }
        lines
    }
}
