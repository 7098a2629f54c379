//! What becomes of a system call that a signal interrupted (`signal(7)`, "Interruption of system calls and library
//! functions by signal handlers").

use super::action::ActionFlags;
use crate::error::Restart;
use crate::prelude::{errno, uapi};
use crate::task::TaskRun;

/// The length of the `syscall` instruction.
const SYSCALL_BYTES: u64 = 2;

/// What becomes of an interrupted call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It fails with `EINTR`.
    Fails,
    /// It is made again.
    Again,
    /// It is gone on with, by `restart_syscall(2)`.
    GoesOn,
}

/// Returns what becomes of a call, given the flags of the handler that runs, if one does.
fn fate(restart: Restart, handler: Option<ActionFlags>) -> Fate {
    match (restart, handler) {
        (Restart::NoIntr, _) | (Restart::Sys | Restart::NoHand, None) => Fate::Again,
        (Restart::Sys, Some(flags)) if flags.contains(ActionFlags::RESTART) => Fate::Again,
        (Restart::Block, None) => Fate::GoesOn,
        (Restart::Sys | Restart::NoHand | Restart::Block, Some(_)) => Fate::Fails,
    }
}

/// Sets the registers so that the call that the task is in, if it was interrupted, fails or is made again. `handler`:
/// the flags of the handler that runs first; `None` if none does.
pub(super) fn apply(run: &mut TaskRun, handler: Option<ActionFlags>) {
    let (Some(restart), Some(call)) = (run.restart.take(), run.call.take()) else { return };
    let registers = &mut run.registers;
    match fate(restart, handler) {
        Fate::Fails => registers.rax = errno::EINTR.to_register(),
        Fate::Again => {
            registers.rax = call.number;
            registers.rip = registers.rip.wrapping_sub(SYSCALL_BYTES);
        }
        Fate::GoesOn => {
            registers.rax = u64::from(uapi::__NR_restart_syscall);
            registers.rip = registers.rip.wrapping_sub(SYSCALL_BYTES);
            run.restart_block = Some(call);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_that_of_linux() {
        let (with, without) = (Some(ActionFlags::RESTART), Some(ActionFlags::empty()));
        for (restart, none, restarting, other) in [
            (Restart::Sys, Fate::Again, Fate::Again, Fate::Fails),
            (Restart::NoIntr, Fate::Again, Fate::Again, Fate::Again),
            (Restart::NoHand, Fate::Again, Fate::Fails, Fate::Fails),
            (Restart::Block, Fate::GoesOn, Fate::Fails, Fate::Fails),
        ] {
            assert_eq!(fate(restart, None), none, "{restart:?}, no handler");
            assert_eq!(fate(restart, with), restarting, "{restart:?}, SA_RESTART");
            assert_eq!(fate(restart, without), other, "{restart:?}, no SA_RESTART");
        }
    }
}
