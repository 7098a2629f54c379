//! A pipe: a buffer between those who write and those who read.

use cloister_sync::{Lock, class};

use super::buffer::{Buffer, Mode};
use super::{Access, PipeImage};
use crate::error::Errno;
use crate::event::{Events, WaitQueue};
use crate::fs::{Sink, Source};
use crate::prelude::errno;

/// How many bytes are written in one piece (`PIPE_BUF`); also the unit of capacity, a page.
pub(crate) const PIPE_BUF: usize = 4096;

/// The capacity of a new pipe in bytes.
const DEFAULT_CAPACITY: usize = 16 * PIPE_BUF;

/// The largest capacity that can be asked for (`/proc/sys/fs/pipe-max-size`).
pub(crate) const MAX_CAPACITY: usize = 1 << 20;

/// A pipe: what its ends share.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// Whether `pipe(2)` made it, so that it has had both of its ends; otherwise it is a FIFO's.
    is_anonymous: bool,
    state: Lock<State, { class::STREAM }>,
    queue: WaitQueue,
}

/// What the pipe's lock protects.
#[derive(Debug)]
struct State {
    buffer: Buffer,
    /// How many ends can read now.
    readers: usize,
    /// How many ends can write now.
    writers: usize,
    /// How many ends that can read there ever were.
    readers_ever: u64,
    /// How many ends that can write there ever were.
    writers_ever: u64,
}

/// How many ends of each sort a pipe has ever had: by this the opening of a FIFO notices the other end even if that
/// is gone again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EndsEver {
    pub(super) readers: u64,
    pub(super) writers: u64,
}

impl Default for Pipe {
    fn default() -> Self {
        Self::with_buffer(Buffer::new(DEFAULT_CAPACITY))
    }
}

impl Pipe {
    /// Makes a pipe as `pipe(2)` does.
    pub(crate) fn anonymous() -> Self {
        Self { is_anonymous: true, ..Self::default() }
    }

    fn with_buffer(buffer: Buffer) -> Self {
        let state = State { buffer, readers: 0, writers: 0, readers_ever: 0, writers_ever: 0 };
        Self { is_anonymous: false, state: Lock::new(state), queue: WaitQueue::new() }
    }

    /// Makes a pipe without ends as it was saved.
    pub(crate) fn from_image(image: PipeImage) -> Self {
        let buffer = Buffer::from_parts(image.bytes, image.segments, image.capacity);
        let pipe = Self { is_anonymous: image.is_anonymous, ..Self::with_buffer(buffer) };
        {
            let mut state = pipe.state.lock();
            (state.readers_ever, state.writers_ever) = image.ends_ever;
        }
        pipe
    }

    /// Returns its saved form.
    pub(crate) fn to_image(&self) -> PipeImage {
        let state = self.state.lock();
        let (bytes, segments) = state.buffer.to_parts();
        PipeImage {
            is_anonymous: self.is_anonymous,
            bytes,
            segments,
            capacity: state.buffer.capacity(),
            ends_ever: (state.readers_ever, state.writers_ever),
        }
    }

    /// Returns whether it is not that of a FIFO.
    pub(super) fn is_anonymous(&self) -> bool {
        self.is_anonymous
    }

    /// Returns the queue of those who wait for room, for bytes or for the other end.
    pub(crate) fn queue(&self) -> &WaitQueue {
        &self.queue
    }

    /// Reads what there is, at most a packet. Returns 0 at the end: nothing there, and nobody who could write.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if it is empty and somebody could write, and those of `into`.
    pub(crate) fn read(&self, into: &mut dyn Sink) -> Result<usize, Errno> {
        if into.remaining() == 0 {
            return Ok(0);
        }
        let mut state = self.state.lock();
        if state.buffer.is_empty() {
            return if state.writers == 0 { Ok(0) } else { Err(errno::EAGAIN) };
        }
        let was_writable = state.is_writable();
        let len = state.buffer.pop(into)?;
        let (has_room, has_more) = (!was_writable && state.is_writable(), !state.buffer.is_empty());
        drop(state);
        if has_room {
            self.queue.wake_one(Events::WRITABLE);
        }
        if has_more {
            self.queue.wake_next(Events::READABLE);
        }
        Ok(len)
    }

    /// Writes what there is room for to the stream; up to [`PIPE_BUF`] bytes in one piece or not at all.
    ///
    /// # Errors
    ///
    /// `EPIPE` if nobody could read, `EAGAIN` if there is no room, and those of `from`.
    pub(crate) fn write(&self, from: &mut dyn Source) -> Result<usize, Errno> {
        self.write_as(from, Mode::Stream)
    }

    /// Writes packets of up to [`PIPE_BUF`] bytes; otherwise as [`Pipe::write`].
    ///
    /// # Errors
    ///
    /// Those of [`Pipe::write`].
    pub(crate) fn write_packets(&self, from: &mut dyn Source) -> Result<usize, Errno> {
        self.write_as(from, Mode::Packet)
    }

    fn write_as(&self, from: &mut dyn Source, mode: Mode) -> Result<usize, Errno> {
        if from.remaining() == 0 {
            return Ok(0);
        }
        let mut state = self.state.lock();
        if state.readers == 0 {
            return Err(errno::EPIPE);
        }
        let mut done = 0;
        while from.remaining() > 0 {
            let room = state.buffer.room();
            // Less than a page is no room for more than a page: poll does not call it that either.
            if room < from.remaining().min(PIPE_BUF) {
                break;
            }
            let max = if mode == Mode::Packet { PIPE_BUF } else { room };
            let expected = max.min(from.remaining());
            match state.buffer.push(from, max, mode) {
                Ok(len) => {
                    done += len;
                    if len < expected {
                        break;
                    }
                }
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        let has_room = state.is_writable();
        drop(state);
        if done == 0 {
            return Err(errno::EAGAIN);
        }
        self.queue.wake_one(Events::READABLE);
        if has_room {
            self.queue.wake_next(Events::WRITABLE);
        }
        Ok(done)
    }

    /// Returns the conditions of an end with `access`; `writers_before` is how many writers the pipe had ever had when
    /// the end was opened.
    pub(super) fn poll(&self, access: Access, writers_before: u64) -> Events {
        let state = self.state.lock();
        let mut events = Events::empty();
        if access.reads() {
            events.set(Events::READABLE, !state.buffer.is_empty());
            // A FIFO that nobody has written to yet has not been hung up.
            events.set(Events::HUP, state.writers == 0 && state.writers_ever != writers_before);
        }
        if access.writes() {
            events.set(Events::WRITABLE, state.is_writable());
            events.set(Events::ERR, state.readers == 0);
        }
        events
    }

    /// Returns how many bytes can be read (`FIONREAD`).
    pub(crate) fn readable_bytes(&self) -> usize {
        self.state.lock().buffer.len()
    }

    /// Returns the capacity in bytes (`F_GETPIPE_SZ`).
    pub(crate) fn capacity(&self) -> usize {
        self.state.lock().buffer.capacity()
    }

    /// Sets the capacity to at least `bytes`, and returns it (`F_SETPIPE_SZ`).    ///
    /// # Errors
    ///
    /// `EPERM` if it is more than [`MAX_CAPACITY`], `EBUSY` if the pipe holds more, `EINVAL` for nonsense.
    pub(crate) fn set_capacity(&self, bytes: usize) -> Result<usize, Errno> {
        if bytes > 1 << 31 {
            return Err(errno::EINVAL);
        }
        let capacity = bytes.max(PIPE_BUF).next_power_of_two();
        if capacity > MAX_CAPACITY {
            return Err(errno::EPERM);
        }
        let mut state = self.state.lock();
        if state.buffer.len() > capacity {
            return Err(errno::EBUSY);
        }
        state.buffer.set_capacity(capacity);
        let has_room = state.is_writable();
        drop(state);
        if has_room {
            self.queue.wake_one(Events::WRITABLE);
        }
        Ok(capacity)
    }

    /// Returns how many bytes a write would find room for, for `splice(2)`; 0 if nobody could read.
    pub(crate) fn room(&self) -> usize {
        let state = self.state.lock();
        if state.readers == 0 { 0 } else { state.buffer.room() }
    }

    /// Copies up to `max` of the oldest bytes and leaves them, for `tee(2)`.
    ///
    /// # Errors
    ///
    /// As [`Pipe::read`].
    pub(crate) fn peek(&self, max: usize) -> Result<Vec<u8>, Errno> {
        let state = self.state.lock();
        if state.buffer.is_empty() && state.writers > 0 {
            return Err(errno::EAGAIN);
        }
        Ok(state.buffer.peek(max))
    }

    /// Puts bytes back in front that were just read but found no place, for `splice(2)`.
    pub(crate) fn put_back(&self, bytes: &[u8]) {
        self.state.lock().buffer.put_back(bytes);
        self.queue.wake_one(Events::READABLE);
    }

    /// Counts a new end, and returns how many there ever were, with it.
    pub(super) fn add_end(&self, access: Access) -> EndsEver {
        let mut state = self.state.lock();
        if access.reads() {
            state.readers += 1;
            state.readers_ever += 1;
        }
        if access.writes() {
            state.writers += 1;
            state.writers_ever += 1;
        }
        let ever = state.ends_ever();
        drop(state);
        // For those who open the other end.
        self.queue.wake(Events::READABLE | Events::WRITABLE);
        ever
    }

    /// Counts an end that was open when the pipe was saved.
    pub(super) fn restore_end(&self, access: Access) {
        let mut state = self.state.lock();
        state.readers += usize::from(access.reads());
        state.writers += usize::from(access.writes());
    }

    /// Discounts an end that is closed.
    pub(super) fn remove_end(&self, access: Access) {
        let mut state = self.state.lock();
        let mut events = Events::empty();
        if access.reads() {
            state.readers -= 1;
            events.set(Events::WRITABLE | Events::ERR, state.readers == 0);
        }
        if access.writes() {
            state.writers -= 1;
            events.set(Events::READABLE | Events::HUP, events.contains(Events::HUP) || state.writers == 0);
        }
        if state.readers == 0 && state.writers == 0 {
            // A FIFO forgets what nobody has read.
            state.buffer = Buffer::new(state.buffer.capacity());
        }
        drop(state);
        if !events.is_empty() {
            self.queue.wake(events);
        }
    }

    /// Returns how many ends can read and write now.
    pub(super) fn ends(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.readers, state.writers)
    }

    /// Returns how many ends there ever were.
    pub(super) fn ends_ever(&self) -> EndsEver {
        self.state.lock().ends_ever()
    }
}

impl State {
    /// Returns whether a write of [`PIPE_BUF`] bytes would not wait.
    fn is_writable(&self) -> bool {
        self.buffer.room() >= PIPE_BUF
    }

    fn ends_ever(&self) -> EndsEver {
        EndsEver { readers: self.readers_ever, writers: self.writers_ever }
    }
}
