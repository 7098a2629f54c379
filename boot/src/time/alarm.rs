//! A countdown that is in the kernel's timer queue.

use std::sync::Weak;
use std::time::Duration;

use super::Countdown;
use crate::kernel::{Expire, Kernel, TimerHandle};

/// A countdown that is in the kernel's timer queue while it runs.
#[derive(Debug)]
pub(super) struct Alarm {
    pub(super) countdown: Countdown,
    handle: Option<TimerHandle>,
}

impl Alarm {
    /// Wraps a countdown, which does not run before it is armed.
    pub(super) fn new(countdown: Countdown) -> Self {
        Self { countdown, handle: None }
    }

    /// Lets `timer` expire at the next expiration.
    pub(super) fn arm(&mut self, kernel: &Kernel, now: Duration, timer: Weak<dyn Expire>) {
        let clock = self.countdown.clock();
        self.handle = self
            .countdown
            .deadline()
            .map(|deadline| kernel.timers.set(clock.instant_of(kernel, deadline, now), timer));
    }

    /// Takes it out of the queue.
    pub(super) fn disarm(&mut self) {
        self.handle = None;
    }
}
