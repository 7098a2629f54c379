//! The queue of a socket without connections.

use std::collections::VecDeque;
use std::sync::Arc;

use cloister_sync::{Lock, class};

use super::channel::Take;
use super::socket::Received;
use super::{Ancillary, SocketAddress, Ucred};
use crate::error::Errno;
use crate::event::{Events, WaitQueue};
use crate::fs::{OpenFile, Sink};
use crate::prelude::errno;

/// A datagram on its way.
#[derive(Debug)]
pub(crate) struct Datagram {
    /// What it holds.
    pub(crate) bytes: Box<[u8]>,
    /// The address of the sender.
    pub(crate) from: SocketAddress,
    /// Who the sender is.
    pub(crate) credentials: Ucred,
    /// What came with it.
    pub(crate) ancillary: Option<Ancillary>,
}

/// What a datagram counts beyond its bytes, so that empty ones are bounded too.
const OVERHEAD: usize = 512;

/// How much a queue holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Datagrams.
    pub(crate) datagrams: usize,
    /// Bytes, [`OVERHEAD`] included.
    pub(crate) bytes: usize,
}

impl Datagram {
    /// Returns how much it counts.
    pub(super) fn charge(&self) -> usize {
        self.bytes.len() + OVERHEAD
    }
}

/// The datagrams that a socket has not received yet.
#[derive(Debug, Default)]
pub(crate) struct Datagrams {
    pub(super) state: Lock<State, { class::STREAM }>,
    /// The queue of the receiving socket.
    receiver: WaitQueue,
    /// Those who wait for room, to send.
    senders: WaitQueue,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) list: VecDeque<Datagram>,
    pub(super) bytes: usize,
    pub(super) is_refused: bool,
}

impl Datagrams {
    /// Makes the queue of a socket whose wait queue is `receiver`.
    pub(crate) fn new(receiver: WaitQueue) -> Self {
        Self { receiver, ..Self::default() }
    }

    /// Appends a datagram.
    ///
    /// # Errors
    ///
    /// With the datagram: `EAGAIN` if there is no room, `EPIPE` if the receiver was shut down.
    pub(crate) fn push(&self, datagram: Datagram, limits: Limits) -> Result<(), (Errno, Datagram)> {
        let mut state = self.state.lock();
        if state.is_refused {
            return Err((errno::EPIPE, datagram));
        }
        // A datagram that is larger than the buffer still gets through if it is the only one.
        let is_full = state.list.len() >= limits.datagrams
            || (state.bytes > 0 && state.bytes + datagram.charge() > limits.bytes);
        if is_full {
            return Err((errno::EAGAIN, datagram));
        }
        state.bytes += datagram.charge();
        state.list.push_back(datagram);
        drop(state);
        self.receiver.wake_one(Events::READABLE);
        Ok(())
    }

    /// Receives the oldest datagram.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if there is none, and those of `into`.
    pub(crate) fn receive(&self, into: &mut dyn Sink, take: Take) -> Result<Received, Errno> {
        let mut state = self.state.lock();
        let Some(first) = state.list.front() else {
            return if state.is_refused { Ok(Received::default()) } else { Err(errno::EAGAIN) };
        };
        let len = into.write(&first.bytes)?;
        let mut received = Received {
            len,
            full_len: first.bytes.len(),
            credentials: Some(first.credentials),
            ..Received::default()
        };
        if take == Take::Peek {
            received.address = Some(first.from.clone());
            received.ancillary = first.ancillary.as_ref().and_then(Ancillary::try_clone);
            return Ok(received);
        }
        let Some(first) = state.list.pop_front() else { return Ok(received) };
        state.bytes -= first.charge();
        let has_more = !state.list.is_empty();
        drop(state);
        received.address = Some(first.from);
        received.ancillary = first.ancillary;
        self.senders.wake(Events::WRITABLE);
        if has_more {
            self.receiver.wake_next(Events::READABLE);
        }
        Ok(received)
    }

    /// Refuses more. What is there can still be received.
    pub(crate) fn refuse(&self) {
        self.state.lock().is_refused = true;
        self.receiver.wake(Events::READABLE | Events::RDHUP);
        self.senders.wake(Events::WRITABLE);
    }

    /// Refuses more, and discards what is there.
    pub(crate) fn close(&self) {
        let discarded = std::mem::take(&mut self.state.lock().list);
        drop(discarded);
        self.refuse();
    }

    /// Returns whether it refuses more.
    pub(crate) fn is_refused(&self) -> bool {
        self.state.lock().is_refused
    }

    /// Returns whether there is something to receive.
    pub(crate) fn has_data(&self) -> bool {
        !self.state.lock().list.is_empty()
    }

    /// Returns whether there is room for another datagram.
    pub(crate) fn has_room(&self, limits: Limits) -> bool {
        let state = self.state.lock();
        state.is_refused || (state.list.len() < limits.datagrams && state.bytes < limits.bytes)
    }

    /// Returns the descriptions that are on their way, to be saved.
    pub(crate) fn files(&self) -> Vec<Arc<OpenFile>> {
        let state = self.state.lock();
        let ancillary = state.list.iter().filter_map(|datagram| datagram.ancillary.as_ref());
        ancillary.flat_map(|ancillary| ancillary.files().iter().cloned()).collect()
    }

    /// Returns the length of the oldest datagram (`SIOCINQ`).
    pub(crate) fn readable_bytes(&self) -> usize {
        self.state.lock().list.front().map_or(0, |first| first.bytes.len())
    }

    /// Returns the queue of those who wait for room.
    pub(crate) fn senders(&self) -> &WaitQueue {
        &self.senders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Datagram {
        let from = SocketAddress::Unspecified;
        Datagram { bytes: Box::default(), from, credentials: Ucred::NOBODY, ancillary: None }
    }

    #[test]
    fn empty_datagrams_are_bounded_too() {
        let (queue, limits) = (Datagrams::default(), Limits { datagrams: usize::MAX, bytes: 10_000 });
        let pushed = (0..1000).take_while(|_| queue.push(empty(), limits).is_ok()).count();
        assert_eq!(pushed, 19);
        queue.receive(&mut [0; 1].as_mut_slice(), Take::Remove).expect("there is one");
        assert!(queue.has_room(limits));
    }

    #[test]
    fn a_queue_that_is_closed_refuses_and_is_empty() {
        let (queue, limits) = (Datagrams::default(), Limits { datagrams: 5, bytes: 10_000 });
        queue.push(empty(), limits).map_err(|(errno, _)| errno).expect("there is room");
        queue.close();
        assert_eq!(queue.push(empty(), limits).map_err(|(errno, _)| errno), Err(errno::EPIPE));
        assert!(!queue.has_data());
    }
}
