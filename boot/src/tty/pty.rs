//! Pseudo-terminals.

use std::sync::{Arc, Weak};
use std::time::Duration;

use cloister_sync::{Lock, LockGuard, class};
use serde::{Deserialize, Serialize};

use super::line::{Line, Minimum};
use super::{Slave, Terminal, WindowSize, job_control};
use crate::error::{Errno, Fail, fail};
use crate::event::{Events, WaitQueue};
use crate::fs::devpts::Directory;
use crate::fs::{FileOps, OpenFlags};
use crate::kernel::{Expire, Kernel, TimerHandle};
use crate::prelude::errno;
use crate::time::Instant;

/// The first major number of pseudo-terminals; each is for 256 of them.
const PTS_MAJOR: u32 = 136;

/// A tenth of a second: the unit of `VTIME`.
const TENTH: Duration = Duration::from_millis(100);

/// A pseudo-terminal (`pty(7)`). It lives for as long as one of its ends is open; its number is free again when the master
/// is closed.
#[derive(Debug)]
pub(crate) struct Pty {
    index: u32,
    kernel: Weak<Kernel>,
    directory: Weak<Directory>,
    state: Lock<State, { class::STREAM }>,
    master_queue: WaitQueue,
    slave_queue: WaitQueue,
}

/// What a pseudo-terminal holds.
#[derive(Debug)]
pub(super) struct State {
    pub(super) line: Line,
    pub(super) size: WindowSize,
    /// Slaves can't be opened (`unlockpt(3)`).
    pub(super) is_locked: bool,
    /// In packet mode, what happened since the master last read (`ioctl_tty(2)`, `TIOCPKT`).
    pub(super) packet: Option<u8>,
    is_master_open: bool,
    slaves: usize,
    /// A slave was open, and none is.
    is_slave_closed: bool,
    last_input: Instant,
    /// When to look again: after a pause of the input (`VTIME`), or what a hang-up means for the session.
    timer: Option<TimerHandle>,
}

/// The saved form of a pseudo-terminal, without its ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PtyImage {
    index: u32,
    line: Line,
    size: WindowSize,
    is_locked: bool,
    packet: Option<u8>,
    is_master_open: bool,
    is_slave_closed: bool,
}

/// What happened, in packet mode.
pub(super) mod packet {
    /// The input of the slave was forgotten.
    pub(crate) const FLUSH_READ: u8 = 1;
    /// The output was forgotten.
    pub(crate) const FLUSH_WRITE: u8 = 2;
    /// Output was stopped.
    pub(crate) const STOP: u8 = 4;
    /// Output was started.
    pub(crate) const START: u8 = 8;
    /// STOP and START mean nothing now.
    pub(crate) const NO_STOP: u8 = 16;
    /// STOP and START are `^S` and `^Q` now.
    pub(crate) const DO_STOP: u8 = 32;
}

impl Pty {
    /// Makes the pseudo-terminal `index` of the file system `directory`, whose master is open, and which is locked.
    pub(crate) fn new(index: u32, kernel: &Arc<Kernel>, directory: Weak<Directory>) -> Self {
        let image = PtyImage {
            index,
            line: Line::default(),
            size: WindowSize::default(),
            is_locked: true,
            packet: None,
            is_master_open: true,
            is_slave_closed: false,
        };
        Self::from_image(image, kernel, directory)
    }

    /// Makes a pseudo-terminal as it was saved, whose master is open.
    pub(crate) fn from_image(image: PtyImage, kernel: &Arc<Kernel>, directory: Weak<Directory>) -> Self {
        let state = State {
            line: image.line,
            size: image.size,
            is_locked: image.is_locked,
            packet: image.packet,
            is_master_open: image.is_master_open,
            slaves: 0,
            is_slave_closed: image.is_slave_closed,
            last_input: kernel.clock.monotonic(),
            timer: None,
        };
        Self {
            index: image.index,
            kernel: Arc::downgrade(kernel),
            directory,
            state: Lock::new(state),
            master_queue: WaitQueue::new(),
            slave_queue: WaitQueue::new(),
        }
    }

    /// Returns its saved form.
    pub(crate) fn to_image(&self) -> PtyImage {
        let state = self.state.lock();
        let State { size, is_locked, packet, is_master_open, is_slave_closed, .. } = *state;
        let (index, line) = (self.index, state.line.clone());
        PtyImage { index, line, size, is_locked, packet, is_master_open, is_slave_closed }
    }

    /// Returns its number.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Returns the queue of those who wait at an end.
    pub(super) fn master_queue(&self) -> &WaitQueue {
        &self.master_queue
    }

    /// Returns the queue of those who wait at the other end.
    pub(super) fn slave_queue(&self) -> &WaitQueue {
        &self.slave_queue
    }

    pub(super) fn state(&self) -> LockGuard<'_, State> {
        self.state.lock()
    }

    /// Reads what the slave wrote, at most `max` bytes; in packet mode with what happened before it.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if there is nothing, `EIO` if there will be nothing since the slave was closed.
    pub(super) fn read_master(&self, max: usize) -> Result<Vec<u8>, Errno> {
        let mut state = self.state.lock();
        if max == 0 {
            return Ok(Vec::new());
        }
        if let Some(status) = state.packet.as_mut().filter(|status| **status != 0) {
            return Ok(vec![std::mem::take(status)]);
        }
        if state.line.output_len() == 0 {
            return Err(if state.is_slave_closed { errno::EIO } else { errno::EAGAIN });
        }
        let was_writable = state.line.is_writable();
        let bytes = match state.packet {
            None => state.line.take_output(max),
            Some(_) => [vec![0], state.line.take_output(max - 1)].concat(),
        };
        let has_room = !was_writable && state.line.is_writable();
        drop(state);
        if has_room {
            self.slave_queue.wake(Events::WRITABLE);
        }
        Ok(bytes)
    }

    /// Writes what is typed, as much as there is room for.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if there is no room.
    pub(super) fn write_master(self: &Arc<Self>, kernel: &Kernel, bytes: &[u8]) -> Result<usize, Errno> {
        let mut state = self.state.lock();
        let (taken, effects) = state.line.receive(bytes);
        if taken == 0 && !bytes.is_empty() {
            return Err(errno::EAGAIN);
        }
        state.last_input = kernel.clock.monotonic();
        if effects.has_flushed {
            state.note(packet::FLUSH_READ | packet::FLUSH_WRITE, 0);
        }
        if let Some(is_stopped) = effects.flow {
            state.note_flow(is_stopped);
        }
        let slave = state.slave_events();
        let master = state.master_events();
        drop(state);
        self.wake(master & Events::READABLE, slave);
        let terminal: Arc<dyn Terminal> = Arc::clone(self) as Arc<_>;
        job_control::send_to_foreground(kernel, &terminal, &effects.signals);
        Ok(taken)
    }

    /// Reads what was typed, at most `max` bytes. Returns nothing at an end of file, and when the master is closed.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if there is not enough.
    pub(super) fn read_slave(self: &Arc<Self>, max: usize, is_non_blocking: bool) -> Result<Vec<u8>, Errno> {
        let mut state = self.state.lock();
        if !state.is_master_open || max == 0 {
            return Ok(Vec::new());
        }
        if let Some(minimum) = state.line.minimum() {
            let has = state.line.readable_bytes();
            let is_enough = has >= minimum.bytes.clamp(1, max) || (is_non_blocking && has > 0);
            if minimum == (Minimum { bytes: 0, tenths: 0 }) && has == 0 {
                return Ok(Vec::new());
            }
            let is_over = is_enough || (has > 0 && self.has_paused(&mut state, minimum));
            if !is_over {
                return Err(errno::EAGAIN);
            }
        }
        let had_room = state.line.has_room();
        let bytes = state.line.read(max).ok_or(errno::EAGAIN)?;
        let has_room = !had_room && state.line.has_room();
        drop(state);
        if has_room {
            self.master_queue.wake(Events::WRITABLE);
        }
        Ok(bytes)
    }

    /// Returns whether the input has paused for `VTIME`; otherwise those who wait look again when it could have.
    fn has_paused(self: &Arc<Self>, state: &mut State, minimum: Minimum) -> bool {
        let Some(kernel) = self.kernel.upgrade().filter(|_| minimum.tenths > 0) else { return false };
        let deadline = state.last_input.saturating_add(TENTH * u32::from(minimum.tenths));
        if kernel.clock.monotonic() >= deadline {
            return true;
        }
        state.timer = Some(self.set_timer(&kernel, deadline));
        false
    }

    fn set_timer(self: &Arc<Self>, kernel: &Kernel, deadline: Instant) -> TimerHandle {
        let this: Arc<dyn Expire> = Arc::clone(self) as Arc<_>;
        kernel.timers.set(deadline, Arc::downgrade(&this))
    }

    /// Returns how long a read of the slave waits for the first byte (`VMIN` 0, and `VTIME`).
    pub(super) fn read_limit(&self) -> Option<Duration> {
        match self.state.lock().line.minimum() {
            Some(Minimum { bytes: 0, tenths }) if tenths > 0 => Some(TENTH * u32::from(tenths)),
            _ => None,
        }
    }

    /// Writes what is shown, as much as there is room for.
    ///
    /// # Errors
    ///
    /// `EIO` if the master is closed, `EAGAIN` if there is no room or output is stopped.
    pub(super) fn write_slave(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let mut state = self.state.lock();
        if !state.is_master_open {
            return Err(errno::EIO);
        }
        let written = state.line.write(bytes);
        drop(state);
        if written == 0 && !bytes.is_empty() {
            return Err(errno::EAGAIN);
        }
        self.master_queue.wake(Events::READABLE);
        Ok(written)
    }

    /// Wakes those who wait at either end.
    pub(super) fn wake(&self, master: Events, slave: Events) {
        for (queue, events) in [(&self.master_queue, master), (&self.slave_queue, slave)] {
            if !events.is_empty() {
                queue.wake(events);
            }
        }
    }

    /// Opens the slave.
    ///
    /// # Errors
    ///
    /// `EIO` if the master is closed or the terminal is locked.
    pub(crate) fn open_slave(self: &Arc<Self>) -> Result<Slave, Fail> {
        let mut state = self.state.lock();
        if !state.is_master_open || state.is_locked {
            return Err(fail(errno::EIO, "the terminal is locked or its master is closed"));
        }
        state.slaves += 1;
        state.is_slave_closed = false;
        drop(state);
        Ok(Slave::new(Arc::clone(self)))
    }

    /// Opens a slave that was open when the terminal was saved.
    pub(crate) fn restore_slave(self: &Arc<Self>) -> Slave {
        let mut state = self.state.lock();
        state.slaves += 1;
        state.is_slave_closed = false;
        drop(state);
        Slave::new(Arc::clone(self))
    }

    /// Returns the devpts that it is in, unless that is gone.
    pub(crate) fn directory(&self) -> Option<Arc<Directory>> {
        self.directory.upgrade()
    }

    /// Notes that an open slave is closed.
    pub(super) fn close_slave(&self) {
        let mut state = self.state.lock();
        state.slaves = state.slaves.saturating_sub(1);
        state.is_slave_closed = state.slaves == 0;
        if state.is_slave_closed {
            drop(state);
            self.master_queue.wake(Events::READABLE | Events::HUP);
        }
    }

    /// Notes that the master is closed: the name is gone, the slave's users are told, and soon the session too.
    pub(super) fn close_master(self: &Arc<Self>) {
        if let Some(directory) = self.directory.upgrade() {
            directory.remove(self.index);
        }
        let mut state = self.state.lock();
        state.is_master_open = false;
        if let Some(kernel) = self.kernel.upgrade() {
            state.timer = Some(self.set_timer(&kernel, Instant::default()));
            kernel.reactor.notify();
        }
        drop(state);
        self.slave_queue.wake(Events::READABLE | Events::WRITABLE | Events::ERR | Events::HUP);
    }
}

impl State {
    /// Returns whether the master is open.
    pub(super) fn is_master_open(&self) -> bool {
        self.is_master_open
    }

    /// Returns the conditions that the master is in.
    pub(super) fn master_events(&self) -> Events {
        let has_status = self.packet.is_some_and(|status| status != 0);
        let mut events = Events::empty();
        events.set(Events::READABLE, has_status || self.line.output_len() > 0);
        events.set(Events::PRI, has_status);
        events.set(Events::WRITABLE, self.line.has_room());
        events.set(Events::HUP, self.is_slave_closed);
        events
    }

    /// Returns the conditions that the slave is in.
    pub(super) fn slave_events(&self) -> Events {
        if !self.is_master_open {
            return Events::READABLE | Events::WRITABLE | Events::ERR | Events::HUP;
        }
        let mut events = Events::empty();
        events.set(Events::READABLE, self.line.is_readable());
        events.set(Events::WRITABLE, self.line.is_writable());
        events
    }

    /// Notes, in packet mode, what happened, and what no longer holds.
    pub(super) fn note(&mut self, happened: u8, over: u8) {
        if let Some(status) = &mut self.packet {
            *status = (*status & !over) | happened;
        }
    }

    /// Notes that output was stopped or started.
    pub(super) fn note_flow(&mut self, is_stopped: bool) {
        if is_stopped {
            self.note(packet::STOP, packet::START);
        } else {
            self.note(packet::START, packet::STOP);
        }
    }
}

impl Terminal for Pty {
    fn device(&self) -> Option<(u32, u32)> {
        Some(device(self.index))
    }

    fn stops_background_writers(&self) -> bool {
        self.state.lock().line.termios().local.contains(super::termios::LocalModes::TOSTOP)
    }

    fn open(self: Arc<Self>, _flags: OpenFlags) -> Result<Box<dyn FileOps>, Fail> {
        Ok(Box::new(self.open_slave()?))
    }
}

/// Returns the device number of the terminal `index`.
pub(crate) fn device(index: u32) -> (u32, u32) {
    (PTS_MAJOR + index / 256, index % 256)
}

impl Expire for Pty {
    fn expire(self: Arc<Self>, _now: Instant) {
        let is_master_open = {
            let mut state = self.state.lock();
            state.timer = None;
            state.is_master_open
        };
        if is_master_open {
            self.slave_queue.wake(Events::READABLE);
        } else if let Some(kernel) = self.kernel.upgrade() {
            let terminal: Arc<dyn Terminal> = self;
            job_control::hang_up(&kernel, &terminal);
        }
    }
}
