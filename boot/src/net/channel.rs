//! One direction of a connection.

use std::collections::VecDeque;
use std::sync::Arc;

use bitflags::bitflags;
use cloister_sync::{Lock, class};
use serde::{Deserialize, Serialize};

use super::socket::{Outgoing, Received};
use super::{Ancillary, SocketOptions, Ucred};
use crate::error::Errno;
use crate::event::{Events, WaitQueue};
use crate::fs::{ByteRing, OpenFile, Sink};
use crate::prelude::errno;

/// Whether what is sent keeps its borders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Framing {
    /// It does not (`SOCK_STREAM`).
    Bytes,
    /// It does (`SOCK_SEQPACKET`).
    Packets,
}

/// How a read treats what it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// It removes it.
    Remove,
    /// It leaves it (`MSG_PEEK`).
    Peek,
}

/// The most packets that wait, however short.
pub(super) const MAX_PACKETS: usize = 4096;

/// One direction of a connection: what one end has sent and the other not received.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(super) framing: Framing,
    pub(super) state: Lock<State, { class::STREAM }>,
    /// The queue of the receiving socket.
    receiver: WaitQueue,
    /// The queue of the sending socket.
    sender: WaitQueue,
    /// The options of the sending socket: its buffer size is the capacity.
    sender_options: Arc<SocketOptions>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) ring: ByteRing,
    pub(super) segments: VecDeque<Segment>,
    pub(super) closed: Closed,
}

bitflags! {
    /// How a channel is closed.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    pub(super) struct Closed: u8 {
        /// Nothing more will be sent.
        const ENDED = 1;
        /// Nothing more will be received.
        const REFUSED = 2;
        /// The receiver sees the end, though the sender may go on (`shutdown(2)` of TCP).
        const MUTED = 4;
        /// The receiver is gone, and the sender does not know yet: what it sends next is lost (TCP).
        const ABANDONED = 8;
    }
}

impl Closed {
    /// The conditions in which the receiver sees the end.
    const ENDS: Self = Self::ENDED.union(Self::REFUSED).union(Self::MUTED);
    /// The conditions in which the sender can't send.
    const BREAKS: Self = Self::ENDED.union(Self::REFUSED);
}

/// Bytes of one sender, or a packet.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) len: usize,
    pub(super) from: Ucred,
    pub(super) ancillary: Option<Ancillary>,
}

impl Channel {
    /// Makes a channel between two sockets that have these queues.
    pub(crate) fn new(
        framing: Framing,
        sender: &WaitQueue,
        receiver: &WaitQueue,
        sender_options: Arc<SocketOptions>,
    ) -> Self {
        Self {
            framing,
            state: Lock::default(),
            receiver: receiver.clone(),
            sender: sender.clone(),
            sender_options,
        }
    }

    /// Sends what there is room for, or a packet.
    ///
    /// # Errors
    ///
    /// `EPIPE` if the channel is closed at either end, `EAGAIN` if there is no room, `EMSGSIZE` if a packet is larger than
    /// the buffer, and those of the source.
    pub(crate) fn send(&self, message: &mut Outgoing<'_>) -> Result<usize, Errno> {
        let mut state = self.state.lock();
        if state.closed.intersects(Closed::BREAKS) {
            return Err(errno::EPIPE);
        }
        let (len, capacity) = (message.from.remaining(), self.capacity());
        if state.closed.contains(Closed::ABANDONED) && len > 0 {
            let lost = state.ring.fill(message.from, capacity)?;
            state.ring.truncate(lost);
            state.closed |= Closed::REFUSED;
            drop(state);
            self.wake_all();
            return Ok(lost);
        }
        let room = capacity.saturating_sub(state.ring.len());
        match self.framing {
            Framing::Bytes if len == 0 => return Ok(0),
            Framing::Bytes if room == 0 => return Err(errno::EAGAIN),
            Framing::Packets if len > capacity => return Err(errno::EMSGSIZE),
            Framing::Packets if len > room || state.segments.len() >= MAX_PACKETS => {
                return Err(errno::EAGAIN);
            }
            _ => {}
        }
        let sent = state.ring.fill(message.from, room)?;
        if self.framing == Framing::Packets && sent < len {
            // The rest of the packet can't be read: as if it had never been.
            state.ring.truncate(sent);
            return Err(errno::EFAULT);
        }
        let ancillary = message.ancillary.take();
        match state.segments.back_mut() {
            Some(last)
                if self.framing == Framing::Bytes
                    && ancillary.is_none()
                    && last.ancillary.is_none()
                    && last.from == message.credentials =>
            {
                last.len += sent;
            }
            _ => state.segments.push_back(Segment { len: sent, from: message.credentials, ancillary }),
        }
        drop(state);
        self.receiver.wake_one(Events::READABLE);
        Ok(sent)
    }

    /// Receives what there is: of a stream, bytes of one sender (if `keeps_senders_apart`) up to the first that descriptors
    /// came with; or a packet. Returns an empty message at the end.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if there is nothing yet, and those of `into`.
    pub(crate) fn receive(
        &self,
        into: &mut dyn Sink,
        take: Take,
        keeps_senders_apart: bool,
    ) -> Result<Received, Errno> {
        let mut state = self.state.lock();
        let Some(first) = state.segments.front() else {
            return if state.closed.intersects(Closed::ENDS) {
                Ok(Received::default())
            } else {
                Err(errno::EAGAIN)
            };
        };
        let mut received = Received { credentials: Some(first.from), ..Received::default() };
        let was_writable = state.is_writable(self.capacity());
        match self.framing {
            Framing::Packets => state.receive_packet(into, take, &mut received)?,
            Framing::Bytes => state.receive_bytes(into, take, keeps_senders_apart, &mut received)?,
        }
        let has_room = !was_writable && state.is_writable(self.capacity());
        let has_more = !state.segments.is_empty();
        drop(state);
        if has_room {
            self.sender.wake(Events::WRITABLE);
        }
        if has_more {
            self.receiver.wake_next(Events::READABLE);
        }
        Ok(received)
    }

    /// Ends it from the sender's side: what was sent can still be received.
    pub(crate) fn end(&self) {
        self.close(Closed::ENDED);
    }

    /// Refuses more from the receiver's side; what was sent can still be received.
    pub(crate) fn refuse(&self) {
        self.close(Closed::REFUSED);
    }

    fn close(&self, how: Closed) {
        let mut state = self.state.lock();
        let was = state.closed;
        state.closed |= how;
        drop(state);
        if !was.contains(how) {
            self.wake_all();
        }
    }

    /// Shows the receiver the end, and lets the sender go on.
    pub(crate) fn refuse_quietly(&self) {
        self.state.lock().closed |= Closed::MUTED;
        self.receiver.wake(Events::READABLE | Events::RDHUP);
    }

    /// As [`Channel::discard`], but if all was received the sender learns only by sending once more.
    pub(crate) fn abandon(&self) -> bool {
        let mut state = self.state.lock();
        if !state.segments.is_empty() {
            drop(state);
            return self.discard();
        }
        state.closed |= Closed::ABANDONED;
        false
    }

    /// Closes it from the receiver's side. Returns whether something was not received.
    pub(crate) fn discard(&self) -> bool {
        let mut state = self.state.lock();
        state.closed |= Closed::REFUSED;
        let unread = std::mem::take(&mut state.segments);
        state.ring = ByteRing::default();
        drop(state);
        self.wake_all();
        !unread.is_empty()
    }

    fn wake_all(&self) {
        let events = Events::READABLE | Events::WRITABLE | Events::RDHUP | Events::HUP;
        self.receiver.wake(events);
        self.sender.wake(events);
    }

    /// Returns how much the sender may have on its way.
    fn capacity(&self) -> usize {
        self.sender_options.send_buffer()
    }

    /// Returns whether there is something to receive.
    pub(crate) fn has_data(&self) -> bool {
        !self.state.lock().segments.is_empty()
    }

    /// Returns the descriptions that are on their way, to be saved.
    pub(crate) fn files(&self) -> Vec<Arc<OpenFile>> {
        let state = self.state.lock();
        let ancillary = state.segments.iter().filter_map(|segment| segment.ancillary.as_ref());
        ancillary.flat_map(|ancillary| ancillary.files().iter().cloned()).collect()
    }

    /// Returns whether it is closed at either end.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed.intersects(Closed::ENDS)
    }

    /// Returns whether the sender has ended it.
    pub(crate) fn is_ended(&self) -> bool {
        self.state.lock().closed.contains(Closed::ENDED)
    }

    /// Returns whether much of the buffer is free, as `poll` means it.
    pub(crate) fn is_writable(&self) -> bool {
        self.state.lock().is_writable(self.capacity())
    }

    /// Returns how many bytes can be received: of a packet, only those of the first (`SIOCINQ`).
    pub(crate) fn readable_bytes(&self) -> usize {
        let state = self.state.lock();
        match self.framing {
            Framing::Bytes => state.ring.len(),
            Framing::Packets => state.segments.front().map_or(0, |first| first.len),
        }
    }

    /// Returns how many bytes were sent and not received (`SIOCOUTQ`).
    pub(crate) fn pending_bytes(&self) -> usize {
        self.state.lock().ring.len()
    }
}

impl State {
    /// As in Linux a socket counts as writable while no more than a quarter of its buffer is full.
    fn is_writable(&self, capacity: usize) -> bool {
        self.ring.len() * 4 <= capacity && self.segments.len() < MAX_PACKETS
    }

    fn receive_packet(
        &mut self,
        into: &mut dyn Sink,
        take: Take,
        received: &mut Received,
    ) -> Result<(), Errno> {
        let Some(first) = self.segments.front_mut() else { return Ok(()) };
        received.len = self.ring.copy(into, 0, first.len)?;
        received.full_len = first.len;
        match take {
            Take::Peek => received.ancillary = first.ancillary.as_ref().and_then(Ancillary::try_clone),
            Take::Remove => {
                received.ancillary = first.ancillary.take();
                self.ring.discard(first.len);
                self.segments.pop_front();
            }
        }
        Ok(())
    }

    fn receive_bytes(
        &mut self,
        into: &mut dyn Sink,
        take: Take,
        keeps_senders_apart: bool,
        received: &mut Received,
    ) -> Result<(), Errno> {
        let mut at = 0;
        while into.remaining() > 0 || received.len == 0 {
            let Some(segment) = self.segments.get_mut(at) else { break };
            if received.len > 0 && keeps_senders_apart && Some(segment.from) != received.credentials {
                break;
            }
            let skip = if take == Take::Peek { received.len } else { 0 };
            let copied = match self.ring.copy(into, skip, segment.len) {
                Err(errno) if received.len == 0 => return Err(errno),
                Err(_) => break,
                Ok(copied) => copied,
            };
            received.len += copied;
            let is_whole = copied == segment.len;
            let has_ancillary = segment.ancillary.is_some();
            match take {
                Take::Peek => {
                    received.ancillary = segment.ancillary.as_ref().and_then(Ancillary::try_clone);
                    at += 1;
                }
                Take::Remove => {
                    received.ancillary = segment.ancillary.take();
                    segment.len -= copied;
                    self.ring.discard(copied);
                    if is_whole {
                        self.segments.pop_front();
                    }
                }
            }
            if has_ancillary || !is_whole {
                break;
            }
        }
        received.full_len = received.len;
        Ok(())
    }
}
