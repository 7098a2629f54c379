//! `StartContainer`: the first process gets its program.

use std::sync::Arc;

use cloister_proto::container::FirstProcess;
use cloister_proto::control::{ErrorKind, Failure};

use super::process;
use super::timeline::Step;
use crate::kernel::Kernel;
use crate::task::ExitStatus;

/// Starts the first process of a container.
///
/// # Errors
///
/// As [`StartContainer`](cloister_proto::control::StartContainer) says.
pub(super) fn start(kernel: &Arc<Kernel>, id: &str) -> Result<(), Failure> {
    kernel.timeline.mark(Step::StartAsked);
    let container = kernel.containers.get(id)?;
    let task = container.claim_start()?;
    container.set_init(task.tid());
    // In a namespace of others there is a first process already.
    task.group().state().signals.is_init =
        container.spec.first_process == FirstProcess::Init && container.owns_pid_namespace();
    process::add_to_tree(kernel, &task);
    if let Err(failure) = process::execute(&task, &container.spec.process) {
        process::abandon(kernel, &task);
        kernel.containers.end_without_start(kernel, &container, exit_status(&failure));
        return Err(failure);
    }
    kernel.timeline.mark(Step::Started);
    task.start();
    Ok(())
}

/// The exit code by which a shell would tell that a program can't be executed.
fn exit_status(failure: &Failure) -> ExitStatus {
    let not_found = crate::prelude::errno::ENOENT.raw();
    ExitStatus::Exited(if failure.kind == ErrorKind::Execute(not_found) { 127 } else { 126 })
}
