//! The events that a program has not read yet.

use std::collections::VecDeque;

use bitflags::bitflags;
use serde::{Deserialize, Serialize};

use crate::error::Errno;
use crate::fs::Sink;
use crate::prelude::errno;

bitflags! {
    /// What a watch is for and how it behaves, beyond the events of
    /// [`notify::Event`](crate::fs::notify::Event).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct WatchMask: u32 {
        /// `IN_ALL_EVENTS`.
        const ALL_EVENTS = 0xfff;
        /// `IN_Q_OVERFLOW`: events were lost.
        const OVERFLOW = 1 << 14;
        /// `IN_IGNORED`: the watch is gone.
        const IGNORED = 1 << 15;
        /// `IN_ONLYDIR`: the path must be a directory's.
        const ONLY_DIRECTORY = 1 << 24;
        /// `IN_DONT_FOLLOW`: a link at the end of the path is not followed.
        const NO_FOLLOW = 1 << 25;
        /// `IN_EXCL_UNLINK`: nothing about files that have no name any more. They are never reported here.
        const EXCLUDE_UNLINKED = 1 << 26;
        /// `IN_MASK_CREATE`: the watch must be new.
        const MUST_CREATE = 1 << 28;
        /// `IN_MASK_ADD`: the events are added to those of the watch that there is.
        const ADD = 1 << 29;
        /// `IN_ONESHOT`: the watch ends with its first event.
        const ONE_SHOT = 1 << 31;
    }
}

/// The most events that wait (`/proc/sys/fs/inotify/max_queued_events`).
const MAX_EVENTS: usize = 16384;

/// The size of `struct inotify_event`, to whose multiples names are padded.
const HEADER_BYTES: usize = 16;

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Queued {
    pub(super) watch: i32,
    pub(super) mask: u32,
    pub(super) cookie: u32,
    pub(super) name: Option<Box<[u8]>>,
}

/// The events that a program has not read yet.
#[derive(Debug, Default)]
pub(super) struct EventQueue {
    list: VecDeque<Queued>,
    bytes: usize,
}

impl Queued {
    /// Returns its length as it is read: the name has at least one NUL.
    fn len(&self) -> usize {
        let name = self.name.as_ref().map_or(0, |name| (name.len() + 1).next_multiple_of(HEADER_BYTES));
        HEADER_BYTES + name
    }

    fn to_bytes(&self) -> Vec<u8> {
        let len = self.len();
        let mut bytes = Vec::with_capacity(len);
        bytes.extend(self.watch.to_ne_bytes());
        bytes.extend(self.mask.to_ne_bytes());
        bytes.extend(self.cookie.to_ne_bytes());
        bytes.extend(u32::try_from(len - HEADER_BYTES).unwrap_or(u32::MAX).to_ne_bytes());
        bytes.extend(self.name.iter().flat_map(|name| name.iter()));
        bytes.resize(len, 0);
        bytes
    }
}

impl From<Vec<Queued>> for EventQueue {
    /// Queues events that were saved.
    fn from(events: Vec<Queued>) -> Self {
        let bytes = events.iter().map(Queued::len).sum();
        Self { list: events.into(), bytes }
    }
}

impl EventQueue {
    /// Returns the events, to be saved.
    pub(super) fn to_vec(&self) -> Vec<Queued> {
        self.list.iter().cloned().collect()
    }

    /// Appends an event; the same one twice in a row is one. If there are too many, one that tells so.
    pub(super) fn push(&mut self, event: Queued) {
        if self.list.back() == Some(&event) {
            return;
        }
        let event = match self.list.len() {
            0..MAX_EVENTS => event,
            MAX_EVENTS => Queued { watch: -1, mask: WatchMask::OVERFLOW.bits(), cookie: 0, name: None },
            _ => return,
        };
        self.bytes += event.len();
        self.list.push_back(event);
    }

    /// Moves as many whole events to `into` as there is room for.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if there are none, `EINVAL` if there is no room for the first, and those of `into`.
    pub(super) fn read(&mut self, into: &mut dyn Sink) -> Result<usize, Errno> {
        let mut done = 0;
        while let Some(first) = self.list.front() {
            let len = first.len();
            if len > into.remaining() {
                return if done > 0 { Ok(done) } else { Err(errno::EINVAL) };
            }
            match into.write(&first.to_bytes()) {
                Ok(written) if written == len => {}
                Err(errno) if done == 0 => return Err(errno),
                _ => return if done > 0 { Ok(done) } else { Err(errno::EFAULT) },
            }
            done += len;
            self.bytes -= len;
            self.list.pop_front();
        }
        if done > 0 { Ok(done) } else { Err(errno::EAGAIN) }
    }

    /// Returns how many bytes all events have.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(watch: i32, name: Option<&[u8]>) -> Queued {
        Queued { watch, mask: 2, cookie: 0, name: name.map(Into::into) }
    }

    #[test]
    fn events_are_padded_and_read_whole() {
        let mut queue = EventQueue::default();
        queue.push(event(1, Some(b"name")));
        queue.push(event(2, None));
        assert_eq!(queue.bytes(), 48);
        assert_eq!(queue.read(&mut [0_u8; 31].as_mut_slice()), Err(errno::EINVAL));
        let mut bytes = [1_u8; 40];
        assert_eq!(queue.read(&mut bytes.as_mut_slice()), Ok(32));
        assert_eq!(bytes.get(12..22), Some(b"\x10\0\0\0name\0\0".as_slice()));
        assert_eq!(queue.read(&mut bytes.as_mut_slice()), Ok(16));
        assert_eq!(queue.read(&mut bytes.as_mut_slice()), Err(errno::EAGAIN));
    }

    #[test]
    fn repeated_events_are_one_and_too_many_are_told() {
        let mut queue = EventQueue::default();
        queue.push(event(1, None));
        queue.push(event(1, None));
        assert_eq!(queue.list.len(), 1);
        for watch in 0..20_000 {
            queue.push(event(watch, None));
        }
        assert_eq!(queue.list.len(), MAX_EVENTS + 1);
        assert_eq!(queue.list.back().map(|event| event.mask), Some(WatchMask::OVERFLOW.bits()));
    }
}
