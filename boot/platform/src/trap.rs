//! Why a guest thread stopped.

use std::ops::Range;
use std::sync::Arc;

use cloister_abi::Registers;
use serde::{Deserialize, Serialize};

/// Why a guest thread stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// It asks for a system call: number in [`Registers::orig_rax`], `rip` behind the instruction.
    Syscall,
    /// It did what the processor does not allow, or hit a breakpoint.
    Exception(Exception),
    /// [`Thread::interrupt`](crate::Thread::interrupt) stopped it between two instructions.
    Interrupted,
    /// Its host thread is gone, killed from outside (the host's out-of-memory killer, say), with the signal that
    /// ended it. It can't be resumed.
    Gone {
        /// The host signal.
        signal: i32,
    },
}

/// A processor exception, as the host kernel reports it by `siginfo_t` (`sigaction(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    /// `SIGSEGV`, `SIGBUS`, `SIGFPE`, `SIGILL` or `SIGTRAP`.
    pub signal: i32,
    /// `si_code`.
    pub code: i32,
    /// `si_addr`: the faulting address or instruction.
    pub address: u64,
}

/// The kernel's side of a guest thread.
pub trait TrapHandler: Send + Sync {
    /// Handles a trap of the thread, which is stopped with `registers`.
    ///
    /// The handler resumes or ends the thread before it returns, or leaves it stopped.
    fn on_trap(self: Arc<Self>, trap: Trap, registers: &Registers);

    /// Returns whether the thread's memory at `range` is code that does not change: a private mapping of a file that can
    /// be executed and not written. The platform may then put other instructions there that do the same.
    fn is_fixed_text(&self, _range: Range<u64>) -> bool {
        false
    }
}
