//! The interest of an epoll instance in a file.

use std::sync::{Arc, Weak};

use bitflags::bitflags;
use cloister_sync::{Lock, class};
use serde::{Deserialize, Serialize};

use super::ready_list::ReadyList;
use crate::event::{Events, Wake};
use crate::fs::OpenFile;

bitflags! {
    /// How an interest behaves: the upper bits of `epoll_event.events`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    pub(crate) struct EpollFlags: u32 {
        /// `EPOLLEXCLUSIVE`: of several instances that watch the file, one is told.
        const EXCLUSIVE = 1 << 28;
        /// `EPOLLWAKEUP`: keeps the machine awake; accepted, and without effect.
        const WAKE_UP = 1 << 29;
        /// `EPOLLONESHOT`: disabled once it has reported something.
        const ONE_SHOT = 1 << 30;
        /// `EPOLLET`: reports changes, not conditions.
        const EDGE = 1 << 31;
    }
}

/// What an interest is in, and what it reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Setting {
    /// The conditions that are asked for.
    pub(crate) events: Events,
    /// How it behaves.
    pub(crate) flags: EpollFlags,
    /// What it reports with the conditions.
    pub(crate) data: u64,
    /// Whether it reports anything.
    pub(super) is_enabled: bool,
}

impl Setting {
    /// Takes the setting from `struct epoll_event`. Bits that mean nothing are ignored, as in Linux.
    pub(crate) fn new(raw_events: u32, data: u64) -> Self {
        Self {
            events: Events::from_bits_truncate(raw_events),
            flags: EpollFlags::from_bits_truncate(raw_events),
            data,
            is_enabled: true,
        }
    }
}

/// Which file an interest is in: its description and descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The address of the description; it is not used again while the interest has a weak reference to it.
    description: usize,
    pub(super) fd: i32,
}

impl Key {
    pub(super) fn new(file: &Arc<OpenFile>, fd: i32) -> Self {
        Self { description: Arc::as_ptr(file).addr(), fd }
    }
}

/// The interest of an epoll instance in a file.
#[derive(Debug)]
pub(super) struct Interest {
    pub(super) key: Key,
    file: Weak<OpenFile>,
    ready: Weak<ReadyList>,
    setting: Lock<Setting, { class::EPOLL_READY }>,
    /// Whether it stands in the ready list, whose lock protects this.
    pub(super) is_queued: std::sync::atomic::AtomicBool,
}

impl Interest {
    pub(super) fn new(key: Key, file: &Arc<OpenFile>, ready: &Arc<ReadyList>, setting: Setting) -> Arc<Self> {
        Arc::new(Self {
            key,
            file: Arc::downgrade(file),
            ready: Arc::downgrade(ready),
            setting: Lock::new(setting),
            is_queued: false.into(),
        })
    }

    pub(super) fn file(&self) -> Option<Arc<OpenFile>> {
        self.file.upgrade()
    }

    pub(super) fn is_gone(&self) -> bool {
        self.file.strong_count() == 0
    }

    pub(super) fn setting(&self) -> Setting {
        *self.setting.lock()
    }

    pub(super) fn set(&self, setting: Setting) {
        *self.setting.lock() = setting;
    }

    /// Disables it, for good or until it is set anew.
    pub(super) fn disable(&self) {
        self.setting.lock().is_enabled = false;
    }

    /// Returns the conditions that it has to report now, and its setting.
    pub(super) fn look(&self) -> Option<(Events, Setting)> {
        let setting = self.setting();
        if !setting.is_enabled {
            return None;
        }
        let file = self.file()?;
        let events = file.ops().poll(&file) & (setting.events | Events::ALWAYS);
        (!events.is_empty()).then_some((events, setting))
    }

    /// As [`Interest::look`], to report it: of several who try at once with a one-shot interest, one succeeds.
    pub(super) fn report(&self) -> Option<(Events, Setting)> {
        let (events, mut setting) = self.look()?;
        if setting.flags.contains(EpollFlags::ONE_SHOT) {
            let mut current = self.setting.lock();
            if !current.is_enabled {
                return None;
            }
            setting = *current;
            current.is_enabled = false;
        }
        Some((events, setting))
    }
}

impl Wake for Interest {
    fn wake(self: Arc<Self>, events: Events) -> bool {
        let setting = self.setting();
        if !setting.is_enabled || !events.intersects(setting.events | Events::ALWAYS) {
            return false;
        }
        self.ready.upgrade().is_some_and(|ready| ready.push(&self))
    }
}
