//! What comes with a signal.

use cloister_abi::signal::SigInfo;
use serde::{Deserialize, Serialize};

use super::Signal;

/// `SI_USER`: sent by `kill(2)`.
pub(crate) const SI_USER: i32 = 0;
/// `SI_KERNEL`: sent by the kernel.
pub(crate) const SI_KERNEL: i32 = 0x80;
/// `SI_QUEUE`: sent by `sigqueue(3)`. Lower codes carry a value too.
pub(super) const SI_QUEUE: i32 = -1;
/// `SI_TIMER`: a POSIX timer expired.
pub(crate) const SI_TIMER: i32 = -2;
/// `SI_TKILL`: sent by `tkill(2)` or `tgkill(2)`.
pub(crate) const SI_TKILL: i32 = -6;

/// What comes with a signal (`siginfo_t` of `sigaction(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SignalInfo {
    /// The signal.
    pub(crate) signal: Signal,
    /// `si_errno`.
    pub(crate) errno: i32,
    /// `si_code`.
    pub(crate) code: i32,
    /// The rest of `siginfo_t` behind its first 16 bytes, as the guest sees it.
    pub(crate) fields: [u64; 14],
    /// The process' POSIX timer that sent it, and rests until it is taken.
    pub(crate) timer: Option<i32>,
}

impl SignalInfo {
    /// Returns a signal with nothing but its code.
    pub(crate) const fn new(signal: Signal, code: i32) -> Self {
        Self { signal, errno: 0, code, fields: [0; 14], timer: None }
    }

    /// Returns what the kernel itself sends: `SI_KERNEL`.
    pub(crate) const fn kernel(signal: Signal) -> Self {
        Self::new(signal, SI_KERNEL)
    }

    /// Returns what `kill(2)` sends: `SI_USER` with the sender.
    pub(crate) fn user(signal: Signal, pid: i32, uid: u32) -> Self {
        Self::new(signal, SI_USER).with_sender(pid, uid)
    }

    /// Returns what `tgkill(2)` sends: `SI_TKILL` with the sender.
    pub(crate) fn thread(signal: Signal, pid: i32, uid: u32) -> Self {
        Self::new(signal, SI_TKILL).with_sender(pid, uid)
    }

    /// Returns what a fault sends, with its address.
    pub(crate) fn fault(signal: Signal, code: i32, address: u64) -> Self {
        let mut info = Self::new(signal, code);
        info.fields[0] = address;
        info
    }

    /// Returns what a POSIX timer sends: its id, and the value that its maker gave it (`timer_create(2)`).
    pub(crate) fn timer(signal: Signal, id: i32, value: u64) -> Self {
        let mut info = Self::new(signal, SI_TIMER);
        info.fields[0] = u64::from(id.cast_unsigned());
        info.fields[1] = value;
        info.timer = Some(id);
        info
    }

    /// Returns it with `si_pid` and `si_uid`.
    pub(crate) fn with_sender(mut self, pid: i32, uid: u32) -> Self {
        self.fields[0] = u64::from(pid.cast_unsigned()) | (u64::from(uid) << 32);
        self
    }

    /// Returns it with `si_overrun`.
    pub(crate) fn with_overrun(mut self, overrun: i32) -> Self {
        self.fields[0] = (self.fields[0] & 0xffff_ffff) | (u64::from(overrun.cast_unsigned()) << 32);
        self
    }

    /// Returns it in the guest's form.
    pub(crate) fn to_raw(self) -> SigInfo {
        SigInfo {
            signal: i32::from(self.signal.number()),
            errno: self.errno,
            code: self.code,
            padding: 0,
            fields: self.fields,
        }
    }

    /// Takes what the guest made up, for `signal`.
    pub(crate) fn from_raw(signal: Signal, raw: &SigInfo) -> Self {
        Self { signal, errno: raw.errno, code: raw.code, fields: raw.fields, timer: None }
    }
}

/// Returns the lower half.
#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
pub(super) const fn low(word: u64) -> u32 {
    word as u32
}

#[cfg(test)]
impl SignalInfo {
    /// Returns `si_pid`, or the id of the timer.
    pub(super) fn pid(&self) -> i32 {
        low(self.fields[0]).cast_signed()
    }

    /// Returns `si_uid`, or the overrun of the timer.
    pub(super) fn uid(&self) -> u32 {
        low(self.fields[0] >> 32)
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::*;

    #[test]
    fn sender_is_where_linux_has_it() {
        let raw = SignalInfo::user(Signal::USR1, 0x0102, 0x0304).to_raw();
        let bytes = raw.as_bytes();
        assert_eq!(bytes[0], 10);
        assert_eq!(bytes[16..20], 0x0102_u32.to_le_bytes());
        assert_eq!(bytes[20..24], 0x0304_u32.to_le_bytes());
        assert_eq!(SignalInfo::from_raw(Signal::USR1, &raw).uid(), 0x0304);
    }

    #[test]
    fn overrun_leaves_the_id() {
        let info = SignalInfo::timer(Signal::ALRM, 7, 99).with_overrun(3);
        assert_eq!((info.pid(), info.uid(), info.fields[1]), (7, 3, 99));
    }
}
