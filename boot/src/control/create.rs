//! `CreateContainer`: a container's mounts and first task, which has no program yet.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use cloister_proto::ByteString;
use cloister_proto::container::{FirstProcess, gofer_connections};
use cloister_proto::control::{CreateContainer, ErrorKind, Failure};

use super::Container;
use super::mounts;
use super::process::{self, NewProcess};
use super::seccomp;
use crate::error::Errno;
use crate::fs::{FsContext, Walker, proc};
use crate::kernel::Kernel;
use crate::prelude::errno;
use crate::task::{Task, UtsNames, UtsNamespace};

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
    let preserved = usize::try_from(spec.process.preserved).unwrap_or(usize::MAX);
    let expected = gofer_connections(&spec).saturating_add(3).saturating_add(preserved);
    if descriptors.len() != expected {
        let message = format!("container `{id}` needs {expected} descriptors, not {}", descriptors.len());
        return Err(Failure::new(ErrorKind::InvalidArgument, message));
    }
    let mut descriptors = descriptors.into_iter();
    let files: Vec<OwnedFd> = descriptors.by_ref().take(preserved + 3).collect();
    let mut gofers = descriptors;

    let namespace = mounts::new_namespace(kernel, &spec.root, &mut gofers)?;
    let root = namespace.root();
    // The mask of the process is not for what is made before it starts.
    let fs = Arc::new(FsContext::new(namespace, root.clone(), root, 0));
    let names = UtsNames { host: spec.hostname.to_vec(), domain: spec.domainname.to_vec() };
    let new = NewProcess {
        fs: Arc::clone(&fs),
        uts: Arc::new(UtsNamespace::new(names)),
        files: process::descriptor_table(kernel, files)?,
        seccomp: seccomp::mode(spec.seccomp.as_ref())?,
        spec: &spec.process,
    };
    let init = process::new_task(kernel, &new)?;
    let walker = Walker::with_credentials(&init, Arc::new(process::superuser()));
    mounts::populate(kernel, walker, &spec, &mut gofers)?;
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
    let task_limit = spec.limits.pids;
    kernel.containers.add(Container::new(id, *spec, init))?;
    if task_limit.is_some() {
        kernel.processes.lock().set_task_limit(task_limit);
    }
    Ok(())
}

/// Makes the failure of a step on behalf of a request.
pub(super) fn failed(what: impl std::fmt::Display, errno: Errno) -> Failure {
    Failure::new(ErrorKind::Os(errno.raw()), format!("{what}: {errno}"))
}

/// Sets the parameters of the kernel that a container's configuration has.
fn set_parameters(init: &Task, parameters: &[(ByteString, ByteString)]) -> Result<(), Failure> {
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
