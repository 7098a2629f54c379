//! Why a manager could not do something.

use std::io;
use std::time::Duration;

use cloister_proto::control::ClientError;

use crate::bundle::BundleError;
use crate::container::ContainerError;
use crate::state::{ContainerId, StateError};
use crate::template::TemplateError;

/// A manager could not do something.
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    /// The bundle or root file system cannot be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The state on disk cannot be used, or does not allow it.
    #[error(transparent)]
    State(#[from] StateError),
    /// The sandbox cannot be started, or does not do it.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The template cannot be made or used.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A configuration cannot be made.
    #[error("cannot make a configuration: {0}")]
    Config(#[from] oci_spec::OciSpecError),
    /// The configuration of a sandbox has no process that a command could be like.
    #[error("the configuration of sandbox {0} has no process")]
    NoProcess(ContainerId),
    /// The sandbox's kernel refused, or does not answer.
    #[error("cannot {action} sandbox {id}: {source}")]
    Client {
        /// What was asked of it.
        action: &'static str,
        /// The sandbox.
        id: ContainerId,
        /// Why it failed.
        source: ClientError,
    },
    /// A step on the host failed.
    #[error("cannot {action}: {source}")]
    Host {
        /// What was to be done.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The command took too long and was killed.
    #[error("the command did not end within {0:?}, and was killed")]
    TimedOut(Duration),
    /// The command wrote too much and was killed.
    #[error("the command wrote more than {0} bytes, and was killed")]
    OutputLimit(usize),
}

impl ManagerError {
    pub(super) fn host<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Host { action, source: source.into() }
    }
}
