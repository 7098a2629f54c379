//! The bytes in a pipe, and where packets end.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::PIPE_BUF;
use crate::error::Errno;
use crate::fs::{ByteRing, Sink, Source};

/// Whether what is written keeps its borders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Mode {
    /// It does not.
    Stream,
    /// It does: a read takes at most one packet, and what of that it has no room for is lost (`O_DIRECT`).
    Packet,
}

/// A run of bytes: one packet, or bytes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Segment {
    pub(super) mode: Mode,
    pub(super) len: usize,
}

/// The bytes in a pipe.
#[derive(Debug)]
pub(super) struct Buffer {
    ring: ByteRing,
    segments: VecDeque<Segment>,
    capacity: usize,
}

impl Buffer {
    /// Returns an empty buffer for `capacity` bytes.
    pub(super) fn new(capacity: usize) -> Self {
        Self { ring: ByteRing::default(), segments: VecDeque::new(), capacity }
    }

    /// Returns a buffer as an image holds it.
    pub(super) fn from_parts(bytes: Vec<u8>, segments: Vec<Segment>, capacity: usize) -> Self {
        Self { ring: bytes.into(), segments: segments.into(), capacity }
    }
    pub(super) fn to_parts(&self) -> (Vec<u8>, Vec<Segment>) {
        (self.ring.to_vec(), self.segments.iter().copied().collect())
    }

    pub(super) fn len(&self) -> usize {
        self.ring.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Sets the capacity, which is no less than [`Buffer::len`].
    pub(super) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    /// Returns how many bytes it has room for.
    pub(super) fn room(&self) -> usize {
        // As in Linux a packet takes a page, however short it is.
        if self.segments.len() >= self.capacity / PIPE_BUF && self.ends_with_packet() {
            return 0;
        }
        self.capacity.saturating_sub(self.ring.len())
    }

    fn ends_with_packet(&self) -> bool {
        self.segments.back().is_some_and(|segment| segment.mode == Mode::Packet)
    }

    /// Appends up to `max` bytes of `from`, as one packet or to the stream.
    pub(super) fn push(&mut self, from: &mut dyn Source, max: usize, mode: Mode) -> Result<usize, Errno> {
        let len = self.ring.fill(from, max)?;
        match self.segments.back_mut() {
            Some(last) if mode == Mode::Stream && last.mode == Mode::Stream => last.len += len,
            _ if len > 0 => self.segments.push_back(Segment { mode, len }),
            _ => {}
        }
        Ok(len)
    }

    /// Moves the oldest bytes to `into`: a packet, or what there is of a stream.
    pub(super) fn pop(&mut self, into: &mut dyn Sink) -> Result<usize, Errno> {
        let Some(first) = self.segments.front_mut() else { return Ok(0) };
        let len = self.ring.drain(into, first.len)?;
        first.len -= len;
        if first.mode == Mode::Packet {
            self.ring.discard(first.len);
            first.len = 0;
        }
        if first.len == 0 {
            self.segments.pop_front();
        }
        Ok(len)
    }

    /// Returns up to `max` of the oldest bytes, and leaves them.
    pub(super) fn peek(&self, max: usize) -> Vec<u8> {
        let mut bytes = vec![0; max.min(self.ring.len())];
        let mut into = bytes.as_mut_slice();
        // A slice takes all it has room for.
        let copied = self.ring.copy(&mut into, 0, max).unwrap_or(0);
        bytes.truncate(copied);
        bytes
    }

    /// Puts bytes of the stream back that were just taken out.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.ring.prepend(bytes);
        match self.segments.front_mut() {
            Some(first) if first.mode == Mode::Stream => first.len += bytes.len(),
            _ => self.segments.push_front(Segment { mode: Mode::Stream, len: bytes.len() }),
        }
    }
}
