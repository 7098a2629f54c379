//! What can go wrong, and how containerd is told.

use std::io;
use std::path::PathBuf;

use cloister_proto::control::{ClientError, ErrorKind};
use cloister_runtime::bundle::BundleError;
use cloister_runtime::container::ContainerError;
use cloister_runtime::launch::LaunchError;
use cloister_runtime::snapshot::SnapshotError;
use cloister_runtime::state::StateError;
use ttrpc::Code;

use crate::args::ArgsError;

/// Something could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShimError {
    #[error(transparent)]
    Args(#[from] ArgsError),
    #[error(transparent)]
    Container(#[from] ContainerError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error("cannot {action} container {id}: {source}")]
    Client { action: &'static str, id: String, source: ClientError },
    #[error("container {0} is not served by this shim")]
    NoContainer(String),
    #[error("container {id} has no process {exec_id:?}")]
    NoProcess { id: String, exec_id: String },
    #[error("{0} exists already")]
    Exists(String),
    #[error("cannot {action}: {what} {state}")]
    WrongState { action: &'static str, what: String, state: &'static str },
    #[error("process already finished: {0} has ended")]
    Finished(String),
    #[error("cannot {action} {path}: {source}")]
    Path { action: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot {action}: {source}")]
    Host { action: &'static str, source: io::Error },
    #[error("{0}")]
    Request(String),
    #[error("cannot serve the task service: {0}")]
    Server(ttrpc::Error),
}

impl ShimError {
    /// For failures of a step on the host.
    pub(crate) fn host(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Host { action, source }
    }

    /// For failures of a step with a file.
    pub(crate) fn path(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Path { action, path: path.into(), source }
    }

    fn code(&self) -> Code {
        match self {
            Self::NoContainer(_) | Self::NoProcess { .. } | Self::Finished(_) => Code::NOT_FOUND,
            Self::State(error) | Self::Container(ContainerError::State(error)) => match error {
                StateError::NotFound(_) | StateError::NotRunning(_) => Code::NOT_FOUND,
                StateError::Exists(_) => Code::ALREADY_EXISTS,
                StateError::WrongStatus { .. } => Code::FAILED_PRECONDITION,
                _ => Code::UNKNOWN,
            },
            Self::Client { source, .. } | Self::Container(ContainerError::Client { source, .. }) => {
                match source {
                    ClientError::Failed(failure) if failure.kind == ErrorKind::NotFound => Code::NOT_FOUND,
                    ClientError::Failed(failure) if failure.kind == ErrorKind::InvalidState => {
                        Code::FAILED_PRECONDITION
                    }
                    ClientError::Failed(failure) if failure.kind == ErrorKind::InvalidArgument => {
                        Code::INVALID_ARGUMENT
                    }
                    _ => Code::UNKNOWN,
                }
            }
            Self::Exists(_) => Code::ALREADY_EXISTS,
            Self::WrongState { .. } => Code::FAILED_PRECONDITION,
            Self::Request(_) => Code::INVALID_ARGUMENT,
            _ => Code::UNKNOWN,
        }
    }
}

impl From<ShimError> for ttrpc::Error {
    fn from(error: ShimError) -> Self {
        let code = error.code();
        tracing::debug!("{error}");
        ttrpc::Error::RpcStatus(ttrpc::get_status(code, error))
    }
}
