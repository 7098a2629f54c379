//! `PrepareCheckpoint`, `Checkpoint` and `Restore`: a sandbox goes to disk, and comes back.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use cloister_proto::container::gofer_connections;
use cloister_proto::control::{
    Checkpoint, CheckpointReply, ErrorKind, Failure, PrepareCheckpointReply, Restore, RestoreAs,
};
use cloister_proto::transport::Connection;

use super::create::{self, failed};
use super::mounts::Gofers;
use super::{Container, seccomp};
use crate::kernel::Kernel;
use crate::snapshot::{self, Files, Given};

/// Tells what is needed to save the sandbox.
///
/// # Errors
///
/// As [`PrepareCheckpoint`](cloister_proto::control::PrepareCheckpoint) says.
pub(super) fn prepare(kernel: &Kernel, id: &str) -> Result<PrepareCheckpointReply, Failure> {
    still_container(kernel, id)?;
    Ok(PrepareCheckpointReply { processes: snapshot::processes(kernel) })
}

/// Saves the sandbox.
///
/// # Errors
///
/// As [`Checkpoint`] says.
pub(super) fn checkpoint(
    kernel: &Arc<Kernel>,
    request: &Checkpoint,
    descriptors: Vec<OwnedFd>,
) -> Result<CheckpointReply, Failure> {
    let container = still_container(kernel, &request.id)?;
    let Ok([kernel_file, header, data, pagemaps]) = <[OwnedFd; 4]>::try_from(descriptors) else {
        return Err(Failure::new(ErrorKind::InvalidArgument, "a checkpoint needs four descriptors"));
    };
    let pagemaps = Connection::from_fd(pagemaps)
        .map_err(|error| Failure::new(ErrorKind::InvalidArgument, error.to_string()))?;
    let files = Files { kernel: kernel_file, header, data, pagemaps };
    let files = snapshot::save(kernel, &container, files, request.build)?;
    Ok(CheckpointReply { files })
}

/// Returns the sandbox's only container, if all of the sandbox stands still.
fn still_container(kernel: &Kernel, id: &str) -> Result<Arc<Container>, Failure> {
    let container = kernel.containers.get(id)?;
    if !container.tasks.freezer.stands_still() {
        return Err(Failure::new(ErrorKind::InvalidState, format!("container `{id}` is not paused")));
    }
    if !kernel.containers.is_only_one() {
        let message = format!("can't save container `{id}`: there are others in its sandbox");
        return Err(Failure::new(ErrorKind::Unsupported, message));
    }
    Ok(container)
}

/// Brings a sandbox back.
///
/// # Errors
///
/// As [`Restore`] says.
pub(super) fn restore(
    kernel: &Arc<Kernel>,
    request: Restore,
    mut descriptors: Vec<OwnedFd>,
) -> Result<(), Failure> {
    let Restore { id, spec, memory, builds, identity } = request;
    if !kernel.containers.is_empty() {
        return Err(Failure::new(ErrorKind::AlreadyExists, "the sandbox has a container"));
    }
    let preserved = usize::try_from(spec.process.preserved).unwrap_or(usize::MAX);
    let given = preserved.saturating_add(3);
    let usage_files = usize::try_from(spec.usage_files).unwrap_or(usize::MAX);
    let builds = usize::try_from(builds).unwrap_or(usize::MAX);
    let own = gofer_connections(&spec).saturating_add(given).saturating_add(usage_files);
    let expected = own.saturating_add(builds).saturating_add(2);
    if descriptors.len() != expected {
        let message = format!("container `{id}` needs {expected} descriptors");
        return Err(Failure::new(ErrorKind::InvalidArgument, message));
    }
    let data = descriptors.split_off(expected - builds);
    let (Some(header), Some(kernel_file)) = (descriptors.pop(), descriptors.pop()) else {
        return Err(Failure::new(ErrorKind::InvalidArgument, "a snapshot has two files besides the pages"));
    };
    let usage = descriptors.split_off(descriptors.len().saturating_sub(usage_files));
    let mut gofers = Gofers::new(id.clone(), descriptors.split_off(given));
    let mut connections = Vec::new();
    while let Ok((_, connection)) = gofers.next(kernel) {
        connections.push(connection);
    }
    let seccomp = seccomp::mode(spec.seccomp.as_ref())?;
    let given =
        Given { files: descriptors, gofers: connections, usage, kernel: kernel_file, header, data, memory };
    let restored = snapshot::restore(kernel, &spec, given)?;
    if let RestoreAs::Copy { hostname, environment } = identity {
        if let Some(hostname) = hostname {
            let named = restored.shared.uts.set_host(&hostname);
            named.map_err(|errno| failed(format_args!("give the copy the name `{hostname}`"), errno))?;
        }
        kernel.generation.set_environment(environment.iter().map(|variable| &**variable));
    }
    // All files are open by now, so that this is a change to those who watch for it.
    kernel.generation.advance();
    let tasks = restored.tasks.clone();
    if let Some(first) = tasks.first() {
        create::set_parameters(first, &spec.sysctl)?;
    }
    let container = Container::restored(id, *spec, seccomp, restored, gofers.into_watches());
    let container = kernel.containers.add(container)?;
    // Until somebody waits for its end, and resumes it.
    container.tasks.freezer.begin_frozen(kernel);
    for task in tasks {
        task.start();
    }
    Ok(())
}
