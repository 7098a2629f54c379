//! `exit(2)`, `exit_group(2)`.

use super::Int;
use crate::prelude::*;
use crate::task::{self, ExitStatus};

/// Handles `exit(status)`: ends the calling thread.
pub(super) fn sys_exit(cx: &mut SyscallCx<'_>, status: Int) -> SyscallResult {
    task::exit_task(cx, code(status));
    Ok(Outcome::Exited)
}

/// Handles `exit_group(status)`: ends all threads of the process.
pub(super) fn sys_exit_group(cx: &mut SyscallCx<'_>, status: Int) -> SyscallResult {
    task::exit_group(cx, code(status));
    Ok(Outcome::Exited)
}

/// The parent gets the low 8 bits.
fn code(status: Int) -> ExitStatus {
    ExitStatus::Exited(status.to_le_bytes()[0])
}
