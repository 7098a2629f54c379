//! `state`: where in its life a container is.

use std::time::Duration;

use cloister_proto::control::{ClientError, ErrorKind, State, Status as KernelStatus};

use super::delete::ends_within;
use super::{ContainerError, connect};
use crate::state::{Entry, OciState, Record, Status};

/// Where in its life a container is.
///
/// # Errors
///
/// The kernel runs, but does not answer.
pub fn status(entry: &Entry, record: &Record) -> Result<Status, ContainerError> {
    if entry.is_suspended() {
        return Ok(Status::Suspended);
    }
    let Some(boot) = record.boot.open() else { return Ok(Status::Stopped) };
    let id = entry.id().clone();
    let answer = connect(entry, "ask for the state of").and_then(|mut client| {
        let request = State { id: id.to_string() };
        client.call(request, &[]).map_err(|source| ContainerError::Client {
            action: "ask for the state of",
            id: id.clone(),
            source,
        })
    });
    match answer {
        Ok(state) => Ok(match state.status {
            KernelStatus::Created => Status::Created,
            KernelStatus::Running => Status::Running,
            KernelStatus::Paused => Status::Paused,
            KernelStatus::Stopped => Status::Stopped,
        }),
        // It was destroyed, and its sandbox lives on.
        Err(ContainerError::Client { source: ClientError::Failed(failure), .. })
            if failure.kind == ErrorKind::NotFound =>
        {
            Ok(Status::Stopped)
        }
        // It may have ended between the look and the question, and be seen to hang up a little before it is gone.
        Err(ContainerError::Client { source: ClientError::Closed | ClientError::Transport(_), .. })
            if ends_within(&boot, Duration::from_secs(1)) =>
        {
            Ok(Status::Stopped)
        }
        Err(error) => Err(error),
    }
}

/// The state document of a container.
///
/// # Errors
///
/// As [`status`], or no such container.
pub fn state(entry: &Entry) -> Result<OciState, ContainerError> {
    let record = entry.record()?;
    let status = status(entry, &record)?;
    Ok(OciState::new(entry.id(), &record, status))
}
