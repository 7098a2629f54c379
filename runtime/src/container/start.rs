//! `start`: lets a created container's process run.

use cloister_proto::control::{Client, StartContainer};
use oci_spec::runtime::Hooks;
use tracing::warn;

use super::{ContainerError, connect, status};
use crate::hooks::{self, Point};
use crate::state::{ContainerId, Entry, OciState, Record, StateError, Status};

/// Starts a created container.
///
/// # Errors
///
/// It was started before, a `startContainer` hook fails, or the program cannot be executed.
pub fn start(entry: &Entry) -> Result<(), ContainerError> {
    let record = entry.record()?;
    let status = status(entry, &record)?;
    if status != Status::Created {
        return Err(StateError::WrongStatus { id: entry.id().clone(), action: "start", status }.into());
    }
    let config = entry.config()?;
    let mut client = connect(entry, "start")?;
    start_with(&mut client, entry.id(), &record, config.hooks().as_ref())
}

/// Starts a created container over a connection, with its hooks.
///
/// A failing `poststart` hook is only warned of, as the specification says.
///
/// # Errors
///
/// A `startContainer` hook fails, or the program cannot be executed.
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
    if let Err(error) = hooks::run(hooks, Point::Poststart, &OciState::new(id, record, Status::Running)) {
        warn!("{error}");
    }
    Ok(())
}
