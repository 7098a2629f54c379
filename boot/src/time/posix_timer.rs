//! POSIX timers (`timer_create(2)`).
//!
//! As in Linux a timer that has sent its signal rests until the signal is taken, and then counts what it has missed:
//! so a short interval costs nothing while nobody looks.

use std::sync::{Arc, Weak};
use std::time::Duration;

use cloister_sync::{Lock, class};
use serde::{Deserialize, Serialize};

use super::alarm::Alarm;
use super::{ClockId, Countdown, Instant, Setting, Start};
use crate::kernel::{Expire, Kernel};
use crate::signal::{self, Origin, Sent, Signal, SignalInfo, Target};
use crate::task::{Pid, ThreadGroup, Tree};

/// How an expiration is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Notify {
    /// Not at all (`SIGEV_NONE`).
    Nobody,
    /// By a signal to the process, or to one of its threads (`SIGEV_SIGNAL`, `SIGEV_THREAD_ID`).
    Signal {
        /// The signal.
        signal: Signal,
        /// `si_value`.
        value: u64,
        /// The thread.
        thread: Option<Pid>,
    },
}

/// The shortest time between signals that nobody wants.
const IGNORED_INTERVAL: Duration = Duration::from_millis(1);

/// A POSIX timer.
#[derive(Debug)]
pub(crate) struct PosixTimer {
    id: i32,
    notify: Notify,
    kernel: Weak<Kernel>,
    group: Weak<ThreadGroup>,
    state: Lock<State, { class::TIMER }>,
}

#[derive(Debug)]
struct State {
    alarm: Alarm,
    /// Whether its signal is queued, so that it rests.
    is_queued: bool,
    /// How many expirations the signal that was taken last stood for, beyond the first.
    overrun: i32,
}

/// The saved form of a [`PosixTimer`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PosixTimerImage {
    id: i32,
    notify: Notify,
    countdown: Countdown,
    is_queued: bool,
    overrun: i32,
}

impl PosixTimerImage {
    /// Returns the timer's id.
    pub(super) fn id(&self) -> i32 {
        self.id
    }
}

impl PosixTimer {
    /// Makes a timer that does not run.
    pub(crate) fn new(
        id: i32,
        clock: ClockId,
        notify: Notify,
        kernel: Weak<Kernel>,
        group: Weak<ThreadGroup>,
    ) -> Arc<Self> {
        let countdown = Countdown::new(clock);
        let image = PosixTimerImage { id, notify, countdown, is_queued: false, overrun: 0 };
        Self::from_image(&image, kernel, group)
    }

    /// Makes a timer as it was saved; it is armed by [`PosixTimer::start`].
    pub(crate) fn from_image(
        image: &PosixTimerImage,
        kernel: Weak<Kernel>,
        group: Weak<ThreadGroup>,
    ) -> Arc<Self> {
        let alarm = Alarm::new(image.countdown);
        let state = State { alarm, is_queued: image.is_queued, overrun: image.overrun };
        Arc::new(Self { id: image.id, notify: image.notify, kernel, group, state: Lock::new(state) })
    }

    /// Returns its saved form.
    pub(crate) fn to_image(&self) -> PosixTimerImage {
        let state = self.state.lock();
        let countdown = state.alarm.countdown;
        let (is_queued, overrun) = (state.is_queued, state.overrun);
        PosixTimerImage { id: self.id, notify: self.notify, countdown, is_queued, overrun }
    }

    /// Lets a timer that was made from an image run.
    pub(crate) fn start(self: &Arc<Self>, kernel: &Kernel, tree: &Tree) {
        let now = self.now(kernel, tree);
        let mut state = self.state.lock();
        if !state.is_queued {
            state.alarm.arm(kernel, now, self.weak());
        }
    }

    /// Returns the time of its clock: before its own lock is taken, since that of the process' state comes first.
    fn now(&self, kernel: &Kernel, tree: &Tree) -> Duration {
        let clock = self.state.lock().alarm.countdown.clock();
        clock.now_in(kernel, tree)
    }

    fn weak(self: &Arc<Self>) -> Weak<dyn Expire> {
        let timer: Arc<dyn Expire> = Arc::clone(self) as Arc<_>;
        Arc::downgrade(&timer)
    }

    /// Sets it. Returns what was left.
    pub(crate) fn set(
        self: &Arc<Self>,
        kernel: &Kernel,
        tree: &Tree,
        setting: Setting,
        start: Start,
    ) -> Setting {
        let now = self.now(kernel, tree);
        let mut state = self.state.lock();
        let before = self.left_of(&state, now);
        state.alarm.countdown.set(setting, start, now);
        state.is_queued = false;
        state.overrun = 0;
        state.alarm.arm(kernel, now, self.weak());
        before
    }

    /// Returns what is left.
    pub(crate) fn left(&self, kernel: &Kernel, tree: &Tree) -> Setting {
        let now = self.now(kernel, tree);
        self.left_of(&self.state.lock(), now)
    }

    fn left_of(&self, state: &State, now: Duration) -> Setting {
        let left = state.alarm.countdown.left(now);
        // A timer that is due and can't tell anybody shows that it is.
        let is_over =
            self.notify == Notify::Nobody && state.alarm.countdown.is_due(now) && left.interval.is_zero();
        Setting { value: if is_over { Duration::ZERO } else { left.value }, ..left }
    }

    /// Returns how many expirations the signal that was taken last stood for, beyond the first.
    pub(crate) fn overrun(&self) -> i32 {
        self.state.lock().overrun
    }

    /// Goes on after its signal was taken (or thrown away). Returns how many expirations it stood for, beyond the first.
    pub(super) fn on_taken(self: &Arc<Self>, kernel: &Kernel, tree: &Tree) -> i32 {
        let now = self.now(kernel, tree);
        let mut state = self.state.lock();
        if !std::mem::take(&mut state.is_queued) {
            return 0;
        }
        let count = state.alarm.countdown.advance(now);
        state.overrun = i32::try_from(count.saturating_sub(1)).unwrap_or(i32::MAX);
        state.alarm.arm(kernel, now, self.weak());
        state.overrun
    }

    fn send(&self, tree: &Tree) -> Sent {
        let Notify::Signal { signal, value, thread } = self.notify else { return Sent::Dropped };
        let Some(process) = self.group.upgrade().and_then(|group| tree.process(group.tgid())) else {
            return Sent::Dropped;
        };
        let target = match thread.map(|tid| process.tasks.iter().find(|task| task.tid() == tid)) {
            None => Target::Group,
            Some(Some(task)) => Target::Task(task),
            Some(None) => return Sent::Dropped,
        };
        let info = SignalInfo::timer(signal, self.id, value);
        signal::send(tree, process, target, info, Origin::Inside).unwrap_or(Sent::Dropped)
    }
}

impl Expire for PosixTimer {
    fn expire(self: Arc<Self>, _now: Instant) {
        let Some(kernel) = self.kernel.upgrade() else { return };
        let tree = kernel.processes.lock();
        let now = self.now(&kernel, &tree);
        {
            let mut state = self.state.lock();
            if !state.alarm.countdown.is_due(now) {
                // Processor time that has not passed yet.
                state.alarm.arm(&kernel, now, self.weak());
                return;
            }
            state.alarm.disarm();
            if self.notify == Notify::Nobody {
                return;
            }
            state.is_queued = true;
            if !state.alarm.countdown.is_periodic() {
                state.alarm.countdown.advance(now);
            }
        }
        if self.send(&tree) == Sent::Dropped {
            let mut state = self.state.lock();
            state.is_queued = false;
            state.alarm.countdown.advance(now.saturating_add(IGNORED_INTERVAL));
            state.alarm.arm(&kernel, now, self.weak());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_brings_it_back() {
        let notify = Notify::Signal { signal: Signal::ALRM, value: 7, thread: Some(3) };
        let timer = PosixTimer::new(5, ClockId::Monotonic, notify, Weak::new(), Weak::new());
        let image = timer.to_image();
        let bytes = serde_json::to_vec(&image).unwrap();
        let read: PosixTimerImage = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(PosixTimer::from_image(&read, Weak::new(), Weak::new()).to_image(), image);
    }
}
