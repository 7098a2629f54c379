//! Signals that were sent and not yet taken.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::info::SI_USER;
use super::{SignalInfo, SignalSet};
use crate::error::Errno;
use crate::prelude::errno;

/// What became of a signal that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It is pending, or had its effect at once.
    Queued,
    /// It is one with a signal that is pending already.
    Merged,
    /// Nobody wants it.
    Dropped,
}

/// Signals that were sent and not yet taken, in the order in which they are taken: those of faults first, then the
/// lowest number first, those of one number in the order they were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingSignals {
    set: SignalSet,
    queue: VecDeque<SignalInfo>,
}

impl PendingSignals {
    /// Returns which signals are pending.
    pub(crate) fn set(&self) -> SignalSet {
        self.set
    }

    /// Adds a signal. A standard signal that is pending already stays as it is, unless a timer sent it: a timer has one
    /// signal pending at most, and its own always.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if a real-time signal finds `limit` signals queued (`RLIMIT_SIGPENDING`); one that `kill(2)` sends
    /// is then taken without its information, as in Linux.
    pub(crate) fn push(&mut self, info: SignalInfo, limit: usize) -> Result<Sent, Errno> {
        let is_merged = match info.timer {
            Some(_) => self.queue.iter().any(|other| other.timer == info.timer),
            None => !info.signal.is_real_time() && self.set.contains(info.signal),
        };
        if is_merged {
            return Ok(Sent::Merged);
        }
        let has_room = !info.signal.is_real_time() || info.timer.is_some() || self.queue.len() < limit;
        if !has_room && info.code != SI_USER {
            return Err(errno::EAGAIN);
        }
        self.set.insert(info.signal);
        if has_room {
            self.queue.push_back(info);
        }
        Ok(Sent::Queued)
    }

    /// Takes the next signal out of `allowed`.
    pub(crate) fn take(&mut self, allowed: SignalSet) -> Option<SignalInfo> {
        let ready = self.set.and(allowed);
        let signal = ready.and(SignalSet::SYNCHRONOUS).first().or_else(|| ready.first())?;
        let at = self.queue.iter().position(|info| info.signal == signal);
        let info = at.and_then(|at| self.queue.remove(at));
        if !self.queue.iter().any(|other| other.signal == signal) {
            self.set.remove(signal);
        }
        Some(info.unwrap_or_else(|| SignalInfo::new(signal, SI_USER)))
    }

    /// Discards all signals in `set`, and returns them.
    pub(crate) fn discard(&mut self, set: SignalSet) -> Vec<SignalInfo> {
        if self.set.and(set).is_empty() {
            return Vec::new();
        }
        let discarded = self.queue.iter().filter(|info| set.contains(info.signal)).copied().collect();
        self.queue.retain(|info| !set.contains(info.signal));
        self.set = self.set.without(set);
        discarded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Signal;

    fn user(number: i32, pid: i32) -> SignalInfo {
        SignalInfo::user(Signal::new(number).unwrap(), pid, 0)
    }

    #[test]
    fn faults_come_first_then_the_lowest() {
        let mut pending = PendingSignals::default();
        for number in [34, 10, 11, 1] {
            pending.push(user(number, 1), 10).unwrap();
        }
        let taken: Vec<_> =
            std::iter::from_fn(|| pending.take(SignalSet::ALL)).map(|info| info.signal.number()).collect();
        assert_eq!(taken, [11, 1, 10, 34]);
        assert!(pending.set().is_empty());
    }

    #[test]
    fn standard_signals_merge_and_real_time_ones_queue() {
        let mut pending = PendingSignals::default();
        for pid in 1..=3 {
            pending.push(user(10, pid), 10).unwrap();
            pending.push(user(40, pid), 10).unwrap();
        }
        assert_eq!(pending.queue.len(), 4);
        assert_eq!(pending.take(SignalSet::ALL).map(|info| info.pid()), Some(1));
        let pids: Vec<_> =
            std::iter::from_fn(|| pending.take(SignalSet::ALL)).map(|info| info.pid()).collect();
        assert_eq!(pids, [1, 2, 3]);
    }

    #[test]
    fn the_limit_is_for_real_time_signals() {
        let mut pending = PendingSignals::default();
        let queued = SignalInfo::new(Signal::new(40).unwrap(), -1);
        assert_eq!(pending.push(queued, 1), Ok(Sent::Queued));
        assert_eq!(pending.push(queued, 1), Err(errno::EAGAIN));
        assert_eq!(pending.push(user(41, 5), 1), Ok(Sent::Queued));
        assert_eq!(pending.push(user(10, 5), 1), Ok(Sent::Queued));
        assert_eq!(pending.push(user(10, 6), 1), Ok(Sent::Merged));
        assert_eq!(pending.discard(SignalSet::of(queued.signal)), [queued]);
        pending.take(SignalSet::ALL);
        // Its information found no room.
        assert_eq!(pending.take(SignalSet::ALL), Some(user(41, 0)));
        assert_eq!(pending.take(SignalSet::ALL), None);
    }

    #[test]
    fn each_timer_has_its_own_signal() {
        let mut pending = PendingSignals::default();
        pending.push(user(14, 1), 0).unwrap();
        let timer = |id| SignalInfo::timer(Signal::ALRM, id, 0);
        assert_eq!(
            [5, 6, 5].map(|id| pending.push(timer(id), 0)),
            [Sent::Queued, Sent::Queued, Sent::Merged].map(Ok)
        );
        let taken: Vec<_> =
            std::iter::from_fn(|| pending.take(SignalSet::ALL)).map(|info| info.timer).collect();
        assert_eq!(taken, [None, Some(5), Some(6)]);
    }

    #[test]
    fn what_is_not_allowed_stays() {
        let mut pending = PendingSignals::default();
        pending.push(user(10, 1), 10).unwrap();
        assert_eq!(pending.take(SignalSet::of(Signal::USR2)), None);
        assert!(pending.set().contains(Signal::USR1));
    }
}
