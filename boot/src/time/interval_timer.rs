//! The three interval timers of a process (`setitimer(2)`).

use std::sync::{Arc, Weak};
use std::time::Duration;

use cloister_sync::{Lock, class};
use serde::{Deserialize, Serialize};

use super::alarm::Alarm;
use super::{ClockId, Countdown, Instant, Setting, Start};
use crate::kernel::{Expire, Kernel};
use crate::signal::{self, Origin, Sent, Signal, SignalInfo, Target};
use crate::task::{Pid, Tree};

/// Which interval timer, with the numbers of `ITIMER_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IntervalKind {
    /// `ITIMER_REAL`: time that passes.
    Real = 0,
    /// `ITIMER_VIRTUAL`: the process' time in user code.
    Virtual = 1,
    /// `ITIMER_PROF`: all processor time of the process.
    Profile = 2,
}

impl IntervalKind {
    /// All kinds, in the order of their numbers.
    pub(super) const ALL: [Self; 3] = [Self::Real, Self::Virtual, Self::Profile];

    /// Returns the kind with a number of `ITIMER_*`.
    pub(crate) fn new(number: i32) -> Option<Self> {
        usize::try_from(number).ok().and_then(|number| Self::ALL.get(number)).copied()
    }

    fn signal(self) -> Signal {
        match self {
            Self::Real => Signal::ALRM,
            Self::Virtual => Signal::VTALRM,
            Self::Profile => Signal::PROF,
        }
    }

    fn clock(self, tgid: Pid) -> ClockId {
        match self {
            Self::Real => ClockId::Monotonic,
            Self::Virtual => ClockId::ProcessUser(tgid),
            Self::Profile => ClockId::Process(tgid),
        }
    }
}

/// The shortest time between signals that nobody wants.
const IGNORED_INTERVAL: Duration = Duration::from_millis(1);

/// An interval timer.
#[derive(Debug)]
pub(super) struct IntervalTimer {
    kind: IntervalKind,
    tgid: Pid,
    kernel: Weak<Kernel>,
    state: Lock<State, { class::TIMER }>,
}

#[derive(Debug)]
struct State {
    alarm: Alarm,
    /// Whether a `SIGALRM` of it is queued: then it rests, and goes on when that is taken.
    is_queued: bool,
}

/// What a checkpoint keeps of an interval timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct IntervalTimerImage {
    countdown: Countdown,
    is_queued: bool,
}

impl IntervalTimer {
    /// Makes a timer of the process `tgid` that does not run.
    pub(super) fn new(kind: IntervalKind, tgid: Pid, kernel: Weak<Kernel>) -> Arc<Self> {
        let alarm = Alarm::new(Countdown::new(kind.clock(tgid)));
        Arc::new(Self { kind, tgid, kernel, state: Lock::new(State { alarm, is_queued: false }) })
    }

    /// Returns what a checkpoint keeps.
    pub(super) fn to_image(&self) -> IntervalTimerImage {
        let state = self.state.lock();
        IntervalTimerImage { countdown: state.alarm.countdown, is_queued: state.is_queued }
    }

    /// Makes it anew. It is armed by [`IntervalTimer::start`].
    pub(super) fn from_image(
        kind: IntervalKind,
        tgid: Pid,
        kernel: Weak<Kernel>,
        image: IntervalTimerImage,
    ) -> Arc<Self> {
        let alarm = Alarm::new(image.countdown);
        Arc::new(Self { kind, tgid, kernel, state: Lock::new(State { alarm, is_queued: image.is_queued }) })
    }

    /// Lets a timer that was made from an image run.
    pub(super) fn start(self: &Arc<Self>, kernel: &Kernel, tree: &Tree) {
        let now = self.now(kernel, tree);
        let mut state = self.state.lock();
        if !state.is_queued {
            state.alarm.arm(kernel, now, self.weak());
        }
    }

    /// Sets it. Returns what was left.
    pub(super) fn set(self: &Arc<Self>, kernel: &Kernel, tree: &Tree, setting: Setting) -> Setting {
        let now = self.now(kernel, tree);
        let mut state = self.state.lock();
        let before = state.alarm.countdown.left(now);
        state.alarm.countdown.set(setting, Start::Relative, now);
        state.is_queued = false;
        state.alarm.arm(kernel, now, self.weak());
        before
    }

    /// Returns what is left.
    pub(super) fn left(&self, kernel: &Kernel, tree: &Tree) -> Setting {
        let now = self.now(kernel, tree);
        self.state.lock().alarm.countdown.left(now)
    }

    /// Stops it.
    pub(super) fn stop(&self) {
        self.state.lock().alarm.disarm();
    }

    /// Goes on after its signal was taken, or thrown away.
    pub(super) fn on_taken(self: &Arc<Self>, kernel: &Kernel, tree: &Tree) {
        let now = self.now(kernel, tree);
        let mut state = self.state.lock();
        if std::mem::take(&mut state.is_queued) {
            state.alarm.countdown.advance(now);
            state.alarm.arm(kernel, now, self.weak());
        }
    }

    /// Returns the time of its clock: before its own lock is taken, since that of the process' state comes first.
    fn now(&self, kernel: &Kernel, tree: &Tree) -> Duration {
        self.kind.clock(self.tgid).now_in(kernel, tree)
    }

    fn weak(self: &Arc<Self>) -> Weak<dyn Expire> {
        let timer: Arc<dyn Expire> = Arc::clone(self) as Arc<_>;
        Arc::downgrade(&timer)
    }
}

impl Expire for IntervalTimer {
    fn expire(self: Arc<Self>, _now: Instant) {
        let Some(kernel) = self.kernel.upgrade() else { return };
        let tree = kernel.processes.lock();
        let Some(process) = tree.process(self.tgid) else { return };
        let now = self.now(&kernel, &tree);
        {
            let mut state = self.state.lock();
            if !state.alarm.countdown.is_due(now) {
                state.alarm.arm(&kernel, now, self.weak());
                return;
            }
            state.alarm.disarm();
            state.is_queued = self.kind == IntervalKind::Real && state.alarm.countdown.is_periodic();
            if !state.is_queued {
                state.alarm.countdown.advance(now);
                state.alarm.arm(&kernel, now, self.weak());
            }
        }
        let info = SignalInfo::kernel(self.kind.signal());
        let sent = signal::send(&tree, process, Target::Group, info, Origin::Inside);
        if sent.unwrap_or(Sent::Dropped) == Sent::Dropped {
            let mut state = self.state.lock();
            if std::mem::take(&mut state.is_queued) {
                state.alarm.countdown.advance(now.saturating_add(IGNORED_INTERVAL));
                state.alarm.arm(&kernel, now, self.weak());
            }
        }
    }
}
