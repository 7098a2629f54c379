//! `CreateContainer`: a container's mounts and first task, which has no program yet.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use cloister_proto::ByteString;
use cloister_proto::container::{ContainerSpec, FirstProcess, Namespace, gofer_connections};
use cloister_proto::control::{CreateContainer, ErrorKind, Failure};

use super::container::{Container, NewContainer};
use super::mounts::{self, Gofers};
use super::namespaces::Namespaces;
use super::process::{self, NewProcess, Origin};
use super::seccomp;
use super::timeline::Step;
use crate::error::Errno;
use crate::fs::cgroup::MemoryUsage;
use crate::fs::{FsContext, Walker, proc};
use crate::kernel::Kernel;
use crate::prelude::errno;
use crate::task::{Task, TaskSet};

/// Makes a container.
///
/// # Errors
///
/// As [`CreateContainer`] says.
pub(super) fn create(
    kernel: &Arc<Kernel>,
    request: CreateContainer,
    descriptors: Vec<OwnedFd>,
) -> Result<(), Failure> {
    let CreateContainer { id, spec } = request;
    kernel.containers.check_new(&id)?;
    let preserved = usize::try_from(spec.process.preserved).unwrap_or(usize::MAX);
    let usage_files = usize::try_from(spec.usage_files).unwrap_or(usize::MAX);
    let expected = gofer_connections(&spec).saturating_add(3).saturating_add(preserved);
    let expected = expected.saturating_add(usage_files);
    if descriptors.len() != expected {
        let message = format!("container `{id}` needs {expected} descriptors, not {}", descriptors.len());
        return Err(Failure::new(ErrorKind::InvalidArgument, message));
    }
    let namespaces = Namespaces::new(kernel, &spec)?;
    let pid_namespace = namespaces.pid;
    let owns_pid_namespace = spec.namespaces.pid == Namespace::Own;
    let made = populate(kernel, id, spec, &namespaces, descriptors).and_then(|new| {
        let container = Container::new(new);
        kernel.containers.add(container)
    });
    kernel.timeline.mark(Step::Created);
    if made.is_err() && owns_pid_namespace {
        kernel.processes.lock().forget_pid_namespace(pid_namespace);
    }
    made.map(drop)
}

/// Makes what a container consists of.
fn populate(
    kernel: &Arc<Kernel>,
    id: String,
    spec: Box<ContainerSpec>,
    namespaces: &Namespaces,
    descriptors: Vec<OwnedFd>,
) -> Result<NewContainer, Failure> {
    let mut descriptors = descriptors;
    let usage_files = usize::try_from(spec.usage_files).unwrap_or(usize::MAX);
    let usage = descriptors.split_off(descriptors.len().saturating_sub(usage_files));
    let mut descriptors = descriptors.into_iter();
    let preserved = usize::try_from(spec.process.preserved).unwrap_or(usize::MAX);
    let files: Vec<OwnedFd> = descriptors.by_ref().take(preserved.saturating_add(3)).collect();
    let mut gofers = Gofers::new(id.clone(), descriptors.collect());

    let mounts = mounts::new_namespace(kernel, &spec.root, &mut gofers)?;
    let root = mounts.root();
    // The mask of the process is not for what is made before it starts.
    let fs = Arc::new(FsContext::new(mounts, root.clone(), root, 0));
    let tasks = TaskSet::new(kernel.containers.new_set_id(), namespaces.pid, spec.limits.pids);
    let new = NewProcess {
        fs: Arc::clone(&fs),
        namespaces,
        tasks: Arc::new(tasks),
        files: process::descriptor_table(kernel, files, Origin::Container)?,
        seccomp: seccomp::mode(spec.seccomp.as_ref())?,
        spec: &spec.process,
    };
    let init = process::new_task(kernel, &new)?;
    let walker = Walker::with_credentials(&init, Arc::new(process::superuser()));
    mounts::populate(walker, &spec, &mut gofers, &Arc::new(MemoryUsage::new(usage)))?;
    fs.set_umask(spec.process.user.umask.unwrap_or(0o022));
    set_parameters(&init, &spec.sysctl)?;
    process::name_terminals(&init);
    if spec.process.terminal {
        mounts::show_console(Walker::with_credentials(&init, Arc::new(process::superuser())))?;
    }
    // As `runc`, whose callers tell a missing program by the failure of `create`.
    if spec.first_process == FirstProcess::Init {
        process::find_program(&init, &spec.process)?;
    }
    Ok(NewContainer { id, spec: *spec, first: init, file_servers: gofers.into_watches() })
}

/// Makes the failure of a step on behalf of a request.
pub(super) fn failed(what: impl std::fmt::Display, errno: Errno) -> Failure {
    Failure::new(ErrorKind::Os(errno.raw()), format!("{what}: {errno}"))
}

/// Sets the parameters of the kernel that a container's configuration has.
pub(super) fn set_parameters(init: &Task, parameters: &[(ByteString, ByteString)]) -> Result<(), Failure> {
    for (name, value) in parameters {
        let problem = match proc::set_parameter(init, name, value) {
            Ok(()) => continue,
            Err(errno::ENOENT) => "the sandbox's kernel has no such parameter",
            Err(errno::EPERM) => "the sandbox's kernel does not let it be set",
            Err(_) => "it cannot have that value",
        };
        let message = format!("set `{name}` to `{value}`: {problem}");
        return Err(Failure::new(ErrorKind::InvalidArgument, message));
    }
    Ok(())
}
