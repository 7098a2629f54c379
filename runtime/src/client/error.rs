//! What can go wrong with a command.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::bundle::BundleError;

/// A command cannot be run, or was ended.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The bundle cannot be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Something that the bundle names is not on the host.
    #[error("{field} of the bundle {bundle} is {path}, which cannot be used: {source}")]
    Missing {
        /// The bundle's folder.
        bundle: PathBuf,
        /// Which field of its configuration.
        field: String,
        /// What it names.
        path: PathBuf,
        /// Why it cannot be used.
        source: io::Error,
    },
    /// The configuration has no such part.
    #[error("the configuration of the bundle {bundle} has no `{field}`")]
    Incomplete {
        /// The bundle's folder.
        bundle: PathBuf,
        /// What is not there.
        field: &'static str,
    },
    /// A step on the host failed.
    #[error("cannot {action}: {source}")]
    Host {
        /// What was to be done.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The runtime could not run the command, or its sandbox broke.
    #[error("the sandbox failed: {0}")]
    Sandbox(String),
    /// The command took too long and was killed.
    #[error("the command did not end within {0:?}, and was killed")]
    TimedOut(Duration),
    /// The command wrote too much and was killed.
    #[error("the command wrote more than {0} bytes, and was killed")]
    OutputLimit(usize),
}

impl ClientError {
    pub(super) fn host(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Host { action: action.into(), source }
    }
}
