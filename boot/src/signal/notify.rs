//! What parents and children are told when a process ends.

use super::{Signal, SignalInfo, send_to_group};
use crate::event::Events;
use crate::kernel::Kernel;
use crate::task::{ExitStatus, Pid, ThreadGroup};

/// Tells the process `parent` that its child `group` has ended. Returns whether the child is to vanish without being
/// waited for.
pub(crate) fn notify_parent_of_exit(
    kernel: &Kernel,
    group: &ThreadGroup,
    parent: Pid,
    _status: ExitStatus,
) -> bool {
    let exit_signal = kernel.processes.lock().process(group.tgid()).map_or(0, |process| process.exit_signal);
    let Some(parent) = kernel.processes.group(parent) else { return true };
    if let Ok(signal) = Signal::new(i32::from(exit_signal)) {
        send_to_group(kernel, &parent, SignalInfo::kernel(signal));
    }
    parent.child_events.wake(Events::IN);
    false
}

/// Tells `child` that its parent has ended; `reaper` is the new one.
pub(crate) fn on_parent_exit(kernel: &Kernel, child: &ThreadGroup, reaper: Pid) {
    let zombie = kernel.processes.lock().process(child.tgid()).and_then(|process| process.zombie);
    if let Some(status) = zombie
        && notify_parent_of_exit(kernel, child, reaper, status)
    {
        kernel.processes.lock().reap(child.tgid());
    }
}
