//! Timers that are read (`timerfd_create(2)`).

use std::sync::{Arc, Weak};
use std::time::Duration;

use cloister_sync::{Lock, class};
use serde::{Deserialize, Serialize};

use super::alarm::Alarm;
use super::{ClockId, Countdown, Instant, Setting, Start, timespec};
use crate::error::Errno;
use crate::event::{Events, WaitQueue};
use crate::fs::{FileCx, FileOps, OpenFile, Sink};
use crate::kernel::{Expire, Kernel};
use crate::prelude::errno;

/// A timer that is read.
#[derive(Debug)]
pub(crate) struct TimerFd {
    timer: Arc<Timer>,
}

#[derive(Debug)]
struct Timer {
    state: Lock<State, { class::TIMER }>,
    queue: WaitQueue,
}

#[derive(Debug)]
struct State {
    alarm: Alarm,
    /// Whether there is an expiration that was not read. A periodic timer rests then, and counts what it has missed when
    /// it is read.
    has_expired: bool,
}

/// The saved form of a [`TimerFd`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TimerFdImage {
    countdown: Countdown,
    has_expired: bool,
}

impl TimerFd {
    /// Makes a timer that does not run.
    pub(crate) fn new(clock: ClockId) -> Self {
        Self::from_image(TimerFdImage { countdown: Countdown::new(clock), has_expired: false })
    }

    /// Makes a timer as it was saved; it is armed by [`TimerFd::start`].
    pub(crate) fn from_image(image: TimerFdImage) -> Self {
        let state = State { alarm: Alarm::new(image.countdown), has_expired: image.has_expired };
        Self { timer: Arc::new(Timer { state: Lock::new(state), queue: WaitQueue::new() }) }
    }

    /// Returns its saved form.
    pub(crate) fn to_image(&self) -> TimerFdImage {
        let state = self.timer.state.lock();
        TimerFdImage { countdown: state.alarm.countdown, has_expired: state.has_expired }
    }

    /// Lets a timer that was made from an image run.
    pub(crate) fn start(&self, kernel: &Kernel) {
        let mut state = self.timer.state.lock();
        if !state.has_expired {
            let now = state.alarm.countdown.clock().now(kernel);
            state.alarm.arm(kernel, now, self.weak());
        }
    }

    fn weak(&self) -> Weak<dyn Expire> {
        let timer: Arc<dyn Expire> = Arc::clone(&self.timer) as Arc<_>;
        Arc::downgrade(&timer)
    }

    /// Sets it; what has expired before is forgotten. Returns what was left.
    pub(crate) fn set(&self, kernel: &Kernel, setting: Setting, start: Start) -> Setting {
        let mut state = self.timer.state.lock();
        let now = state.alarm.countdown.clock().now(kernel);
        let before = state.left(now);
        state.alarm.countdown.set(setting, start, now);
        state.has_expired = false;
        state.alarm.arm(kernel, now, self.weak());
        before
    }

    /// Returns what is left.
    pub(crate) fn left(&self, kernel: &Kernel) -> Setting {
        let state = self.timer.state.lock();
        state.left(state.alarm.countdown.clock().now(kernel))
    }

    /// Takes the number of expirations since the last time.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if there are none.
    fn take(&self, kernel: &Kernel) -> Result<u64, Errno> {
        let mut state = self.timer.state.lock();
        if !std::mem::take(&mut state.has_expired) {
            return Err(errno::EAGAIN);
        }
        let now = state.alarm.countdown.clock().now(kernel);
        let count = state.alarm.countdown.advance(now);
        state.alarm.arm(kernel, now, self.weak());
        Ok(count.max(1))
    }
}

impl State {
    fn left(&self, now: Duration) -> Setting {
        let left = self.alarm.countdown.left(now);
        let is_over = self.alarm.countdown.is_due(now) && left.interval.is_zero();
        Setting { value: if is_over { Duration::ZERO } else { left.value }, ..left }
    }
}

impl Expire for Timer {
    fn expire(self: Arc<Self>, _now: Instant) {
        let mut state = self.state.lock();
        state.alarm.disarm();
        state.has_expired = true;
        drop(state);
        self.queue.wake(Events::READABLE);
    }
}

impl FileOps for TimerFd {
    fn is_stream(&self) -> bool {
        true
    }

    fn read(&self, cx: &FileCx<'_>, into: &mut dyn Sink) -> Result<usize, Errno> {
        if into.remaining() < size_of::<u64>() {
            return Err(errno::EINVAL);
        }
        into.write(&self.take(cx.task.kernel())?.to_ne_bytes())
    }

    fn poll(&self, _file: &OpenFile) -> Events {
        if self.timer.state.lock().has_expired { Events::READABLE } else { Events::empty() }
    }

    fn poll_queue(&self) -> Option<&WaitQueue> {
        Some(&self.timer.queue)
    }

    fn fd_info(&self) -> String {
        let state = self.timer.state.lock();
        let clock = match state.alarm.countdown.clock() {
            ClockId::Realtime => 0,
            ClockId::Boottime => 7,
            _ => 1,
        };
        let (ticks, interval) =
            (u8::from(state.has_expired), state.alarm.countdown.left(Duration::ZERO).interval);
        let interval = timespec(interval);
        format!(
            "clockid: {clock}\nticks: {ticks}\nsettime flags: 00\nit_interval: ({}, {})\n",
            interval.sec, interval.nsec
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_brings_it_back() {
        let mut countdown = Countdown::new(ClockId::Boottime);
        let setting = Setting { value: Duration::from_secs(1), interval: Duration::from_secs(2) };
        countdown.set(setting, Start::Relative, Duration::from_secs(9));
        let image = TimerFdImage { countdown, has_expired: true };
        assert_eq!(TimerFd::from_image(image).to_image(), image);
        let bytes = serde_json::to_vec(&image).unwrap();
        assert_eq!(serde_json::from_slice::<TimerFdImage>(&bytes).unwrap(), image);
    }
}
