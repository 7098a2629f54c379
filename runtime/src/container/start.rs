//! `start`: lets a created container's process run.

use cloister_proto::control::{Client, StartContainer};
use oci_spec::runtime::Hooks;
use tracing::warn;

use super::{ContainerError, connect, delete, status};
use crate::hooks::{self, Point};
use crate::state::{ContainerId, Entry, OciState, Record, StateError, Status};

/// Starts a created container.
///
/// # Errors
///
/// It was started before, or the program cannot be executed. A hook fails: then the container is deleted.
pub fn start(entry: Entry) -> Result<(), ContainerError> {
    let record = entry.record()?;
    let status = status(&entry, &record)?;
    if status != Status::Created {
        return Err(StateError::WrongStatus { id: entry.id().clone(), action: "start", status }.into());
    }
    let config = entry.config()?;
    let mut client = connect(&entry, "start")?;
    let started = start_with(&mut client, entry.id(), &record, config.hooks().as_ref());
    if let Err(error @ ContainerError::Hook(_)) = started {
        drop(client);
        // The hook's failure is what the caller should see.
        if let Err(error) = delete(entry, true) {
            warn!("{error}");
        }
        return Err(error);
    }
    started
}

/// Starts a created container over a connection, with its hooks.
///
/// # Errors
///
/// A hook fails, or the program cannot be executed: the caller ends the container, as the specification says.
pub fn start_with(
    client: &mut Client,
    id: &ContainerId,
    record: &Record,
    hooks: Option<&Hooks>,
) -> Result<(), ContainerError> {
    hooks::run(hooks, Point::StartContainer, &OciState::new(id, record, Status::Created))?;
    client.call(StartContainer { id: id.to_string() }, &[]).map_err(|source| ContainerError::Client {
        action: "start",
        id: id.clone(),
        source,
    })?;
    Ok(hooks::run(hooks, Point::Poststart, &OciState::new(id, record, Status::Running))?)
}
