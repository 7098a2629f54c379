//! The containers of the sandbox.

use crate::kernel::Kernel;
use crate::task::{ExitStatus, Pid};

/// The containers of the sandbox.
#[derive(Debug, Default)]
pub(crate) struct Containers {}

impl Containers {
    /// Takes note of the end of a process: the first one of a container ends the container.
    pub(crate) fn on_process_exit(&self, kernel: &Kernel, tgid: Pid, _status: ExitStatus) {
        if tgid == 1 {
            kernel.finish();
        }
    }
}
