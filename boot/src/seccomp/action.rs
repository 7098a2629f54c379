//! What becomes of a call.

use crate::error::Errno;

const KILL_PROCESS: u32 = 0x8000_0000;
const KILL_THREAD: u32 = 0;
const TRAP: u32 = 0x0003_0000;
const ERRNO: u32 = 0x0005_0000;
const TRACE: u32 = 0x7ff0_0000;
const LOG: u32 = 0x7ffc_0000;
const ALLOW: u32 = 0x7fff_0000;

/// The part of a filter's value that says what is done; the rest is data.
const ACTION: u32 = 0xffff_0000;

/// What becomes of a call (`seccomp(2)`, "Filter return values").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The process ends by `SIGSYS`.
    KillProcess,
    /// The thread ends; the process too if it is the last.
    KillThread,
    /// The thread gets `SIGSYS` with this as `si_errno`.
    Trap(u16),
    /// The call fails with this error number; 0 is success.
    Errno(u16),
    /// A tracer decides; without one the call fails with `ENOSYS`.
    Trace,
    /// The call is made, and logged.
    Log,
    /// The call is made.
    Allow,
}

impl Action {
    /// Takes what a filter returned. What is not known kills the process, and so does asking a supervisor
    /// (`SECCOMP_RET_USER_NOTIF`) which no filter here can have: Linux answers `ENOSYS` then.
    pub(super) fn from_value(value: u32) -> Self {
        const USER_NOTIFICATION: u32 = 0x7fc0_0000;
        let data = (value & !ACTION) as u16;
        match value & ACTION {
            KILL_THREAD => Self::KillThread,
            TRAP => Self::Trap(data),
            ERRNO => Self::Errno(data.min(Errno::MAX)),
            TRACE | USER_NOTIFICATION => Self::Trace,
            LOG => Self::Log,
            ALLOW => Self::Allow,
            _ => Self::KillProcess,
        }
    }

    /// Returns whether filters can ask for the action of a value (`SECCOMP_GET_ACTION_AVAIL`).
    pub(crate) fn is_available(value: u32) -> bool {
        matches!(value, KILL_PROCESS | KILL_THREAD | TRAP | ERRNO | TRACE | LOG | ALLOW)
    }

    /// Returns of two filters' values the one that counts: that of the stricter action, and `first` of equal ones.
    pub(super) fn stricter(first: u32, second: u32) -> u32 {
        // Killing the process is the lowest number with its sign.
        let rank = |value: u32| (value & ACTION).cast_signed();
        if rank(second) < rank(first) { second } else { first }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_counts() {
        let order = [KILL_PROCESS, KILL_THREAD, TRAP, ERRNO, TRACE, LOG, ALLOW];
        for (index, strict) in order.iter().enumerate() {
            for lenient in &order[index..] {
                assert_eq!(Action::stricter(*lenient, *strict), *strict);
                assert_eq!(Action::stricter(*strict, *lenient), *strict);
            }
        }
        assert_eq!(Action::stricter(ERRNO | 1, ERRNO | 2), ERRNO | 1);
    }

    #[test]
    fn values() {
        assert_eq!(Action::from_value(ERRNO | 0xffff), Action::Errno(4095));
        assert_eq!(Action::from_value(0x7fff_1234), Action::Allow);
        assert_eq!(Action::from_value(0x1234_0000), Action::KillProcess);
        assert!(Action::is_available(LOG) && !Action::is_available(0x7fc0_0000) && !Action::is_available(1));
    }
}
