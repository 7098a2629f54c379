//! What the handling of a system call can end with, besides a value.

pub(crate) use cloister_abi::Errno;
use serde::{Deserialize, Serialize};

use crate::kernel::Park;

/// What the handling of a system call can end with, besides a value.
///
/// The restart codes are a variant of their own, so that they can't reach a guest register; and a call that must
/// wait fails with [`Fail::Park`], so that `?` carries the request from any depth to the dispatcher.
#[derive(Debug)]
pub(crate) enum Fail {
    /// The call fails with this error number; the text tells the cause in the strace.
    Errno(Errno, &'static str),
    /// A signal interrupted the call before it did anything.
    Restart(Restart),
    /// The call waits: the handler is run again when the task is woken.
    Park(Park),
}

/// What becomes of a call that a signal interrupted (`signal(7)`, "Interruption of system calls").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Restart {
    /// `ERESTARTSYS`: restarted after the handler if it has `SA_RESTART`, otherwise `EINTR`.
    Sys,
    /// `ERESTARTNOINTR`: always restarted.
    NoIntr,
    /// `ERESTARTNOHAND`: `EINTR` if a handler runs, otherwise restarted.
    NoHand,
    /// `ERESTART_RESTARTBLOCK`: as [`Restart::NoHand`], but the restart goes on with the state that the call had
    /// (a time-out that has partly passed) through `restart_syscall(2)`.
    Block,
}

impl From<Errno> for Fail {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno, "")
    }
}

impl Fail {
    /// Returns whether this is the error number `errno`.
    pub(crate) fn is(&self, errno: Errno) -> bool {
        matches!(self, Self::Errno(e, _) if *e == errno)
    }
}

/// Makes the failure of a call with an error number and its cause, for `return Err(fail(…))` and `ok_or`.
pub(crate) const fn fail(errno: Errno, cause: &'static str) -> Fail {
    Fail::Errno(errno, cause)
}

/// What the handler of a system call ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The value of `rax`.
    Value(u64),
    /// The handler has set all registers itself (`rt_sigreturn`, `execve`).
    RegistersSet,
    /// The task is gone.
    Exited,
}

impl Outcome {
    /// Success without a value.
    pub(crate) const OK: Self = Self::Value(0);
}

macro_rules! outcome_from {
    ($($t:ty),*) => {
        $(impl From<$t> for Outcome {
            fn from(value: $t) -> Self {
                Self::Value(u64::from(value))
            }
        })*
    };
}

outcome_from!(u64, u32, bool);

impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Self::OK
    }
}

impl From<usize> for Outcome {
    fn from(value: usize) -> Self {
        Self::Value(value as u64)
    }
}

impl From<i32> for Outcome {
    fn from(value: i32) -> Self {
        Self::Value(i64::from(value).cast_unsigned())
    }
}

impl From<i64> for Outcome {
    fn from(value: i64) -> Self {
        Self::Value(value.cast_unsigned())
    }
}

/// The result of a system call's handler.
pub(crate) type SyscallResult = Result<Outcome, Fail>;
