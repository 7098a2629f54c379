//! The setting of a timer: when it expires, and how often.

use std::time::Duration;

use cloister_abi::time::{Itimerspec, Itimerval};
use serde::{Deserialize, Serialize};

use super::{ClockId, duration, duration_of_timeval, timespec, timeval};
use crate::error::Fail;

/// What a timer is set to: a first time, and the time from each expiration to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The first expiration; zero for none.
    pub(crate) value: Duration,
    /// From one expiration to the next; zero for just one.
    pub(crate) interval: Duration,
}

impl Setting {
    /// Takes the guest's.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a time is none.
    pub(crate) fn from_itimerspec(raw: Itimerspec) -> Result<Self, Fail> {
        Ok(Self { value: duration(raw.value)?, interval: duration(raw.interval)? })
    }

    /// Takes the guest's, in microseconds.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a time is none.
    pub(crate) fn from_itimerval(raw: Itimerval) -> Result<Self, Fail> {
        Ok(Self { value: duration_of_timeval(raw.value)?, interval: duration_of_timeval(raw.interval)? })
    }

    /// Returns it in the guest's form.
    pub(crate) fn to_itimerspec(self) -> Itimerspec {
        Itimerspec { interval: timespec(self.interval), value: timespec(self.value) }
    }

    /// Returns it in the guest's form, in microseconds; what is left is never rounded to nothing.
    pub(crate) fn to_itimerval(self) -> Itimerval {
        let least = if self.value.is_zero() { Duration::ZERO } else { Duration::from_micros(1) };
        Itimerval { interval: timeval(self.interval), value: timeval(self.value.max(least)) }
    }
}

/// Whether a setting's value counts from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// From now.
    Relative,
    /// It is a time of the clock.
    Absolute,
}

/// A timer's state: pure data, which a checkpoint saves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Countdown {
    clock: ClockId,
    /// The next expiration by the clock; `None` if there is none.
    deadline: Option<Duration>,
    interval: Duration,
}

impl Countdown {
    /// Makes one that does not run.
    pub(crate) fn new(clock: ClockId) -> Self {
        Self { clock, deadline: None, interval: Duration::ZERO }
    }

    /// Returns the clock.
    pub(crate) fn clock(&self) -> ClockId {
        self.clock
    }

    /// Returns the next expiration by the clock.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Returns whether it goes on after an expiration.
    pub(crate) fn is_periodic(&self) -> bool {
        !self.interval.is_zero()
    }

    /// Sets it; a value of zero stops it.
    pub(crate) fn set(&mut self, setting: Setting, start: Start, now: Duration) {
        let first = match start {
            Start::Relative => now.saturating_add(setting.value),
            Start::Absolute => setting.value,
        };
        self.deadline = (!setting.value.is_zero()).then_some(first);
        self.interval = setting.interval;
    }

    /// Returns what is left, and the interval. While an expiration waits to be taken note of, what is left is that of
    /// the next one.
    pub(crate) fn left(&self, now: Duration) -> Setting {
        let value = match self.deadline {
            None => Duration::ZERO,
            Some(deadline) if deadline > now => deadline - now,
            Some(_) if !self.is_periodic() => Duration::from_nanos(1),
            Some(deadline) => {
                let mut next = Self { deadline: Some(deadline), ..*self };
                next.advance(now);
                next.deadline.unwrap_or(now).saturating_sub(now)
            }
        };
        Setting { value, interval: self.interval }
    }

    /// Returns whether the next expiration is due.
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Takes note of the expirations until `now`, and returns their number. One that is not periodic stops.
    pub(crate) fn advance(&mut self, now: Duration) -> u64 {
        let Some(deadline) = self.deadline.filter(|deadline| *deadline <= now) else { return 0 };
        if !self.is_periodic() {
            self.deadline = None;
            return 1;
        }
        let count = (now - deadline).as_nanos() / self.interval.as_nanos() + 1;
        let passed = count.saturating_mul(self.interval.as_nanos());
        let passed = Duration::from_nanos(u64::try_from(passed).unwrap_or(u64::MAX));
        self.deadline = Some(deadline.saturating_add(passed));
        u64::try_from(count).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn started(value: u64, interval: u64) -> Countdown {
        let mut countdown = Countdown::new(ClockId::Monotonic);
        countdown.set(Setting { value: ms(value), interval: ms(interval) }, Start::Relative, ms(1000));
        countdown
    }

    #[test]
    fn one_shot() {
        let mut countdown = started(10, 0);
        assert!(!countdown.is_due(ms(1009)) && countdown.is_due(ms(1010)));
        assert_eq!(countdown.left(ms(1004)).value, ms(6));
        assert_eq!((countdown.advance(ms(1009)), countdown.advance(ms(5000))), (0, 1));
        assert_eq!((countdown.advance(ms(6000)), countdown.deadline()), (0, None));
    }

    #[test]
    fn periodic_ones_count_what_was_missed() {
        let mut countdown = started(10, 3);
        assert_eq!(countdown.left(ms(1014)), Setting { value: ms(2), interval: ms(3) });
        assert_eq!((countdown.advance(ms(1010)), countdown.deadline()), (1, Some(ms(1013))));
        assert_eq!((countdown.advance(ms(1021)), countdown.deadline()), (3, Some(ms(1022))));
        countdown.set(
            Setting { interval: Duration::from_nanos(1), ..Setting::default() },
            Start::Absolute,
            ms(0),
        );
        assert_eq!(countdown.deadline(), None);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut countdown = Countdown::new(ClockId::Realtime);
        let setting = Setting { value: Duration::from_nanos(1), interval: Duration::from_nanos(1) };
        countdown.set(setting, Start::Absolute, Duration::ZERO);
        assert_eq!(countdown.advance(Duration::MAX), u64::MAX);
        countdown.set(Setting { value: Duration::MAX, ..setting }, Start::Relative, Duration::MAX);
        assert!(countdown.is_due(Duration::MAX));
        let bytes = serde_json::to_vec(&countdown).unwrap();
        assert_eq!(serde_json::from_slice::<Countdown>(&bytes).unwrap(), countdown);
    }

    #[test]
    fn a_rest_below_a_microsecond_is_not_nothing() {
        let setting = Setting { value: Duration::from_nanos(1), interval: Duration::ZERO };
        assert_eq!(setting.to_itimerval().value.usec, 1);
        assert_eq!(Setting::default().to_itimerval().value.usec, 0);
    }
}
