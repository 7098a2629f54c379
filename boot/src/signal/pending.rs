//! Signals that were sent and not yet taken.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Signal, SignalSet};
use crate::error::Errno;
use crate::prelude::errno;

/// What comes with a signal (`siginfo_t` of `sigaction(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SignalInfo {
    /// The signal.
    pub(crate) signal: Signal,
    /// `si_code`.
    pub(crate) code: i32,
    /// The rest of `siginfo_t` behind its first 16 bytes, as the guest sees it.
    pub(crate) fields: [u64; 14],
}

impl SignalInfo {
    /// Returns what the kernel itself sends: `SI_KERNEL`.
    pub(crate) fn kernel(signal: Signal) -> Self {
        Self { signal, code: 0x80, fields: [0; 14] }
    }

    /// Returns what `kill(2)` sends: `SI_USER` with the sender.
    pub(crate) fn user(signal: Signal, pid: i32, uid: u32) -> Self {
        let mut fields = [0; 14];
        fields[0] = u64::from(pid.cast_unsigned()) | (u64::from(uid) << 32);
        Self { signal, code: 0, fields }
    }
}

/// Signals that were sent and not yet taken, in the order in which they are taken: the lowest number first, those of
/// one number in the order they were sent.
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

    /// Adds a signal. A standard signal that is pending already stays as it is.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if a real-time signal finds `limit` signals queued (`RLIMIT_SIGPENDING`).
    pub(crate) fn push(&mut self, info: SignalInfo, limit: usize) -> Result<(), Errno> {
        if !info.signal.is_real_time() && self.set.contains(info.signal) {
            return Ok(());
        }
        if info.signal.is_real_time() && self.queue.len() >= limit {
            return Err(errno::EAGAIN);
        }
        self.set.insert(info.signal);
        self.queue.push_back(info);
        Ok(())
    }

    /// Takes the next signal out of `allowed`.
    pub(crate) fn take(&mut self, allowed: SignalSet) -> Option<SignalInfo> {
        let signal = self.set.and(allowed).first()?;
        let at = self.queue.iter().position(|info| info.signal == signal)?;
        let info = self.queue.remove(at)?;
        if !self.queue.iter().any(|other| other.signal == signal) {
            self.set.remove(signal);
        }
        Some(info)
    }

    /// Discards all signals in `set`.
    pub(crate) fn discard(&mut self, set: SignalSet) {
        self.queue.retain(|info| !set.contains(info.signal));
        self.set = self.set.without(set);
    }
}

/// A task's own signals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskSignals {
    /// Sent to this task (`tgkill(2)`, faults).
    pub(crate) pending: PendingSignals,
    /// Those that are held back.
    pub(crate) blocked: SignalSet,
}

/// The signals of a thread group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupSignals {
    /// Sent to the process (`kill(2)`): any of its tasks takes them.
    pub(crate) pending: PendingSignals,
}

impl GroupSignals {
    /// Returns the signal that stopped the process, if its parent was not told yet.
    pub(crate) fn stop_to_report(&self) -> Option<Signal> {
        None
    }

    /// Returns whether the process goes on after a stop, and its parent was not told yet.
    pub(crate) fn has_continue_to_report(&self) -> bool {
        false
    }

    /// Says that the parent was told.
    pub(crate) fn mark_reported(&mut self) {}
}
