//! Time: the sandbox's clocks, and what is set by them.
//!
//! | type | is |
//! |---|---|
//! | [`Clock`], [`Instant`] | the kernel's own clock |
//! | [`ClockId`] | a clock that the guest can name |
//! | [`Countdown`] | the setting of a timer, plain data |
//! | [`PosixTimer`], [`TimerFd`] | timers that the guest makes |
//! | [`GroupTimers`] | the timers of a process: POSIX ones, interval timers, the limit of processor time |
//!
//! # Locking
//!
//! A timer's lock is [`class::TIMER`](cloister_sync::class::TIMER). What sends signals or looks at processor time locks the
//! process tree first.

mod alarm;
mod clock;
mod clock_id;
mod convert;
mod countdown;
mod cpu_limit;
mod group_timers;
mod interval_timer;
mod posix_timer;
mod timer_fd;

pub(crate) use clock::{Clock, ClockImage, Instant};
pub(crate) use clock_id::ClockId;
pub(crate) use convert::{TICKS_PER_SECOND, duration, duration_of_timeval, ticks, timespec, timeval};
pub(crate) use countdown::{Countdown, Setting, Start};
pub(crate) use group_timers::{GroupTimers, GroupTimersImage};
pub(crate) use interval_timer::IntervalKind;
pub(crate) use posix_timer::{Notify, PosixTimer};
pub(crate) use timer_fd::{TimerFd, TimerFdImage};
