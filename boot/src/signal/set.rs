//! Signal numbers and sets of them.

use serde::{Deserialize, Serialize};

use crate::error::Errno;
use crate::prelude::errno;

/// A signal's number, 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Signal(u8);

impl Signal {
    /// The number of signals.
    pub(crate) const COUNT: u8 = 64;
    /// The first real-time signal.
    pub(crate) const FIRST_REAL_TIME: u8 = 32;

    /// Returns the signal `number`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no such signal; 0 is none.
    pub(crate) fn new(number: i32) -> Result<Self, Errno> {
        match u8::try_from(number) {
            Ok(number @ 1..=Self::COUNT) => Ok(Self(number)),
            _ => Err(errno::EINVAL),
        }
    }

    /// Returns its number.
    pub(crate) const fn number(self) -> u8 {
        self.0
    }

    /// Returns all signals.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (1..=Self::COUNT).map(Self)
    }

    /// Returns whether it is a real-time signal, of which several can be pending.
    pub(crate) const fn is_real_time(self) -> bool {
        self.0 >= Self::FIRST_REAL_TIME
    }
}

macro_rules! signals {
    ($($name:ident = $number:literal),* $(,)?) => {
        impl Signal {
            /// Returns its name without `SIG`; real-time signals have none.
            pub(crate) fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            $(#[doc = concat!("`SIG", stringify!($name), "`.")] pub(crate) const $name: Self = Self($number);)*
        }
    };
}

signals! {
    HUP = 1, INT = 2, QUIT = 3, ILL = 4, TRAP = 5, ABRT = 6, BUS = 7, FPE = 8, KILL = 9, USR1 = 10, SEGV = 11,
    USR2 = 12, PIPE = 13, ALRM = 14, TERM = 15, STKFLT = 16, CHLD = 17, CONT = 18, STOP = 19, TSTP = 20, TTIN = 21,
    TTOU = 22, URG = 23, XCPU = 24, XFSZ = 25, VTALRM = 26, PROF = 27, WINCH = 28, IO = 29, PWR = 30, SYS = 31,
}

/// A set of signals: bit `n - 1` stands for signal `n`, as in `sigset_t`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct SignalSet(pub(crate) u64);

impl SignalSet {
    /// No signal.
    pub(crate) const EMPTY: Self = Self(0);
    /// All signals.
    pub(crate) const ALL: Self = Self(u64::MAX);
    /// The signals that can't be blocked, caught or ignored.
    pub(crate) const UNMASKABLE: Self =
        Self((1 << (Signal::KILL.number() - 1)) | (1 << (Signal::STOP.number() - 1)));

    /// The signals of processor exceptions.
    pub(crate) const SYNCHRONOUS: Self = Self::of(Signal::SEGV)
        .or(Self::of(Signal::BUS))
        .or(Self::of(Signal::ILL))
        .or(Self::of(Signal::TRAP))
        .or(Self::of(Signal::FPE))
        .or(Self::of(Signal::SYS));
    /// The signals that stop a process by default.
    pub(crate) const STOPS: Self = Self::of(Signal::STOP)
        .or(Self::of(Signal::TSTP))
        .or(Self::of(Signal::TTIN))
        .or(Self::of(Signal::TTOU));

    /// Returns the set of one signal.
    pub(crate) const fn of(signal: Signal) -> Self {
        Self(1 << (signal.number() - 1))
    }

    /// Returns whether `signal` is in it.
    pub(crate) const fn contains(self, signal: Signal) -> bool {
        self.0 & Self::of(signal).0 != 0
    }

    /// Returns the set with the bits of a `sigset_t`, without what can't be blocked.
    pub(crate) const fn mask(bits: u64) -> Self {
        Self(bits).without(Self::UNMASKABLE)
    }

    /// Adds `signal`.
    pub(crate) fn insert(&mut self, signal: Signal) {
        self.0 |= Self::of(signal).0;
    }

    /// Removes `signal`.
    pub(crate) fn remove(&mut self, signal: Signal) {
        self.0 &= !Self::of(signal).0;
    }

    /// Returns what is in both.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns what is in this and not in `other`.
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns what is in either.
    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether no signal is in it.
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the signal with the lowest number.
    pub(crate) fn first(self) -> Option<Signal> {
        let bit = u8::try_from(self.0.trailing_zeros()).ok()?;
        (bit < Signal::COUNT).then_some(Signal(bit + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(Signal::new(9), Ok(Signal::KILL));
        assert_eq!(Signal::new(0), Err(errno::EINVAL));
        assert_eq!(Signal::new(65), Err(errno::EINVAL));
        assert_eq!(Signal::new(-1), Err(errno::EINVAL));
        assert_eq!(Signal::all().map(Signal::number).collect::<Vec<_>>(), (1..=64).collect::<Vec<_>>());
        assert_eq!(Signal::TSTP.name(), Some("TSTP"));
    }

    #[test]
    fn sets_have_the_bits_of_sigset_t() {
        assert_eq!(SignalSet::mask(u64::MAX).0, !0x40100);
        assert_eq!(SignalSet(1 << 63).first().map(Signal::number), Some(64));
        assert_eq!(SignalSet::EMPTY.first(), None);
    }
}
