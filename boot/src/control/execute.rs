//! `Execute`: another process in a running container.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use cloister_proto::control::{ErrorKind, Execute, Failure, Status};

use super::process::{self, NewProcess, Origin};
use crate::fs::FsContext;
use crate::kernel::Kernel;
use crate::task::Pid;

/// Starts a process in a running container. Returns its id.
///
/// # Errors
///
/// As [`Execute`] says.
pub(super) fn execute(
    kernel: &Arc<Kernel>,
    request: &Execute,
    descriptors: Vec<OwnedFd>,
) -> Result<Pid, Failure> {
    let container = kernel.containers.get(&request.id)?;
    let problem = match container.state().status {
        Status::Running => None,
        Status::Paused if request.ignore_paused => None,
        Status::Paused => Some("is paused; resume it first"),
        Status::Created | Status::Stopped => Some("does not run"),
    };
    if let Some(problem) = problem {
        return Err(Failure::new(ErrorKind::InvalidState, format!("container `{}` {problem}", request.id)));
    }
    let expected = usize::try_from(request.process.preserved).unwrap_or(usize::MAX).saturating_add(3);
    if descriptors.len() != expected {
        let message = format!("the process needs {expected} descriptors, not {}", descriptors.len());
        return Err(Failure::new(ErrorKind::InvalidArgument, message));
    }
    let fs = FsContext::copy_of(&container.fs);
    fs.set_cwd(fs.root());
    fs.set_umask(request.process.user.umask.unwrap_or(0o022));
    let new = NewProcess {
        fs: Arc::new(fs),
        namespaces: &container.namespaces,
        tasks: Arc::clone(&container.tasks),
        files: process::descriptor_table(kernel, descriptors, Origin::Later)?,
        seccomp: container.seccomp.clone(),
        spec: &request.process,
    };
    let task = process::new_task(kernel, &new)?;
    task.attributes.lock().personality = container.spec.process.personality;
    process::name_terminals(&task);
    process::add_to_tree(kernel, &task);
    container.watch(task.tid());
    if let Err(failure) = process::execute(&task, &request.process) {
        container.forget(task.tid());
        process::abandon(kernel, &task);
        return Err(failure);
    }
    task.start();
    Ok(task.tid())
}
