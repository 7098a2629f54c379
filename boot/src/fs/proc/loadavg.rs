//! `/proc/loadavg`.

use crate::kernel::Kernel;
use crate::task::number;

/// Makes the text. The averages are zero: this kernel keeps no history of its load.
pub(super) fn text(kernel: &Kernel) -> String {
    let tree = kernel.processes.lock();
    let running = tree.tasks().filter(|task| task.is_running()).count();
    let all = tree.tasks().count();
    format!("0.00 0.00 0.00 {}/{all} {}\n", running.max(1), number(tree.last_pid()))
}
