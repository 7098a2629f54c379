//! Connecting to the kernel of a container that runs.

use std::time::Duration;

use cloister_proto::control::{Client, ClientError};

use super::ContainerError;
use crate::state::{Entry, StateError};

/// How long a kernel may take to answer what it can answer at once.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects to the container's kernel. `action` is what errors call it.
///
/// # Errors
///
/// [`ContainerError::Client`].
pub fn connect(entry: &Entry, action: &'static str) -> Result<Client, ContainerError> {
    if entry.is_suspended() {
        return Err(StateError::Suspended { id: entry.id().clone(), action }.into());
    }
    let fail = |source| ContainerError::Client { action, id: entry.id().clone(), source };
    let connection = entry.connect().map_err(|error| fail(ClientError::Transport(error)))?;
    Client::new(connection, Some(REPLY_TIMEOUT)).map_err(fail)
}
