//! Connections that wait to be accepted.

use std::collections::VecDeque;
use std::sync::Arc;

use cloister_sync::{Lock, class};

use crate::error::Errno;
use crate::event::{Events, WaitQueue};
use crate::prelude::errno;

/// The most connections that wait, whatever `/proc/sys/net/core/somaxconn` says.
pub(super) const MAX_CONNECTIONS: usize = 65536;

/// Connections of a listening socket that wait to be accepted: sockets of type `S`.
#[derive(Debug)]
pub(crate) struct Backlog<S> {
    pub(super) state: Lock<State<S>, { class::SOCKET }>,
    /// The queue of the listening socket.
    acceptors: WaitQueue,
    /// Those who wait for room, to connect.
    connectors: WaitQueue,
}

#[derive(Debug)]
pub(super) struct State<S> {
    pub(super) list: VecDeque<Arc<S>>,
    pub(super) max: usize,
    pub(super) is_closed: bool,
}

impl<S> Backlog<S> {
    /// Makes an empty backlog of a socket with the queue `acceptors`.
    pub(crate) fn new(acceptors: WaitQueue, max: i32) -> Self {
        let state = State { list: VecDeque::new(), max: bound(max), is_closed: false };
        Self { state: Lock::new(state), acceptors, connectors: WaitQueue::new() }
    }

    /// Sets how many connections may wait: as Linux, one more than `max`.
    pub(crate) fn set_max(&self, max: i32) {
        self.state.lock().max = bound(max);
        self.connectors.wake(Events::WRITABLE);
    }

    /// Adds the connection that `connect` makes, if there is room.
    ///
    /// # Errors
    ///
    /// `ECONNREFUSED` if nobody listens any more, `EAGAIN` if there is no room, and those of `connect`, which is called
    /// with the lock of the backlog held.
    pub(crate) fn add(&self, connect: impl FnOnce() -> Result<Arc<S>, Errno>) -> Result<(), Errno> {
        self.add_up_to(None, connect)
    }

    /// As [`Backlog::add`], for those who can't wait for room: up to the bound for all sockets.
    pub(crate) fn add_in_any_case(
        &self,
        connect: impl FnOnce() -> Result<Arc<S>, Errno>,
    ) -> Result<(), Errno> {
        self.add_up_to(Some(MAX_CONNECTIONS), connect)
    }

    fn add_up_to(
        &self,
        max: Option<usize>,
        connect: impl FnOnce() -> Result<Arc<S>, Errno>,
    ) -> Result<(), Errno> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(errno::ECONNREFUSED);
        }
        if state.list.len() > max.unwrap_or(state.max) {
            return Err(errno::EAGAIN);
        }
        state.list.push_back(connect()?);
        drop(state);
        self.acceptors.wake_one(Events::READABLE);
        Ok(())
    }

    /// Takes the oldest connection.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if there is none, `EINVAL` if it was shut down.
    pub(crate) fn accept(&self) -> Result<Arc<S>, Errno> {
        let mut state = self.state.lock();
        let Some(connection) = state.list.pop_front() else {
            return Err(if state.is_closed { errno::EINVAL } else { errno::EAGAIN });
        };
        let has_more = !state.list.is_empty();
        drop(state);
        self.connectors.wake_one(Events::WRITABLE);
        if has_more {
            self.acceptors.wake_next(Events::READABLE);
        }
        Ok(connection)
    }

    /// Refuses connections from now on, and closes those that wait.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        let waiting = std::mem::take(&mut state.list);
        drop(state);
        drop(waiting);
        self.connectors.wake(Events::WRITABLE);
        self.acceptors.wake(Events::READABLE | Events::HUP | Events::RDHUP);
    }

    /// Returns the conditions of the listening socket.
    pub(crate) fn poll(&self) -> Events {
        let state = self.state.lock();
        let mut events = Events::empty();
        events.set(Events::READABLE, !state.list.is_empty() || state.is_closed);
        events.set(Events::HUP | Events::RDHUP, state.is_closed);
        events
    }

    /// Returns the queue of those who wait for room.
    pub(crate) fn connectors(&self) -> &WaitQueue {
        &self.connectors
    }
}

/// As in Linux a negative number is a large one.
fn bound(max: i32) -> usize {
    usize::try_from(max).map_or(MAX_CONNECTIONS, |max| max.min(MAX_CONNECTIONS))
}
