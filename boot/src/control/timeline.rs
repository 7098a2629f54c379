//! `Timeline`: where the time of a start goes.

use std::sync::atomic::{AtomicU64, Ordering};

use cloister_proto::control::{Mark, TimelineReply};
use rustix::time::{ClockId, clock_gettime};

/// A step of the start, in the order in which they are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The program begins.
    Begin,
    /// Guest code could be run.
    Platform,
    /// Requests are answered.
    Serving,
    /// There is a container.
    Created,
    /// The start of the container is asked for.
    StartAsked,
    /// Its program runs.
    Started,
}

impl Step {
    const ALL: [Self; 6] =
        [Self::Begin, Self::Platform, Self::Serving, Self::Created, Self::StartAsked, Self::Started];

    fn text(self) -> &'static str {
        match self {
            Self::Begin => "kernel: begins",
            Self::Platform => "kernel: its platform is ready",
            Self::Serving => "kernel: answers requests",
            Self::Created => "kernel: has the container",
            Self::StartAsked => "kernel: is asked to start it",
            Self::Started => "kernel: its program runs",
        }
    }
}

/// When each step was done for the first time.
#[derive(Debug, Default)]
pub(crate) struct Timeline([AtomicU64; Step::ALL.len()]);

impl Timeline {
    /// Takes note that a step is done, if it is so for the first time.
    pub(crate) fn mark(&self, step: Step) {
        self.mark_at(step, now());
    }

    /// Takes note that a step was done at a time of [`now`].
    pub(crate) fn mark_at(&self, step: Step, at: u64) {
        if let Some(mark) = self.0.get(step as usize) {
            // It fails if there was a first time.
            let _ = mark.compare_exchange(0, at, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Tells what is done.
    pub(super) fn reply(&self) -> TimelineReply {
        let marks = Step::ALL.into_iter().zip(&self.0).map(|(step, at)| (step, at.load(Ordering::Relaxed)));
        let done = marks.filter(|(_, at)| *at > 0);
        TimelineReply { marks: done.map(|(step, at)| Mark { step: step.text().to_owned(), at }).collect() }
    }
}

/// The time on the host's monotonic clock, in nanoseconds.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let (seconds, nanoseconds) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_counts() {
        let timeline = Timeline::default();
        timeline.mark_at(Step::Serving, 7);
        timeline.mark_at(Step::Begin, 5);
        timeline.mark(Step::Serving);
        let marks = timeline.reply().marks;
        assert_eq!(marks.iter().map(|mark| mark.at).collect::<Vec<_>>(), [5, 7]);
        assert_eq!(marks.first().unwrap().step, "kernel: begins");
    }
}
