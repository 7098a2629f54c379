//! The end of tasks and processes.

use super::ExitStatus;
use crate::prelude::SyscallCx;

/// Ends the calling task; the last of its group makes the process a zombie.
pub(crate) fn exit_task(cx: &mut SyscallCx<'_>, _status: ExitStatus) {
    cx.kernel().processes.lock().remove_task(cx.task);
    cx.task.end();
    cx.kernel().finish();
}

/// Ends the calling task and makes all others of its group end.
pub(crate) fn exit_group(cx: &mut SyscallCx<'_>, status: ExitStatus) {
    let status = *cx.group().state().exit.get_or_insert(status);
    exit_task(cx, status);
}
