//! Why something could not be done with a container.

use std::io;
use std::path::PathBuf;

use cloister_proto::control::ClientError;

use crate::bundle::BundleError;
use crate::cgroup::CgroupError;
use crate::foreground::ForegroundError;
use crate::hooks::HookError;
use crate::sandbox::SandboxError;
use crate::snapshot::SnapshotError;
use crate::state::{ContainerId, StateError};

/// Something could not be done with a container.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The bundle cannot be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A snapshot cannot be written or used.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The state on disk cannot be used, or does not allow it.
    #[error(transparent)]
    State(#[from] StateError),
    /// The sandbox cannot be started, or does not do it.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A hook failed.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// The control group cannot be used.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The sandbox's kernel refused, or does not answer.
    #[error("cannot {action} container {id}: {source}")]
    Client {
        /// What was asked of it.
        action: &'static str,
        /// The container.
        id: ContainerId,
        /// Why it failed.
        source: ClientError,
    },
    /// A container is to join a sandbox, but names one of its other containers.
    #[error("container {id} is not the root container of its sandbox, which is {root}; name that")]
    NotRoot {
        /// The container that was named.
        id: ContainerId,
        /// The root container of its sandbox.
        root: String,
    },
    /// The process that stands for a container cannot be started.
    #[error("cannot start the process that stands for container {id}: {source}; see its log")]
    Deputy {
        /// The container.
        id: ContainerId,
        /// Why not.
        source: io::Error,
    },
    /// Signals cannot be watched for.
    #[error(transparent)]
    Foreground(#[from] ForegroundError),
    /// The process that was just started cannot be identified.
    #[error("the sandbox of container {0} ended while it was created; see `cloister --debug`")]
    Gone(ContainerId),
    /// The pid file cannot be written.
    #[error("cannot write the pid file {path}: {source}")]
    PidFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The configuration asks for a terminal, but there is none.
    #[error("process.terminal is set, but {0}")]
    NoTerminal(&'static str),
    /// A socket for a terminal is given, but the configuration asks for none.
    #[error("--console-socket is given, but process.terminal is not set; leave it out, or set it")]
    UnusedConsole,
    /// The terminal cannot be made or handed over.
    #[error("cannot {action}: {source}")]
    Console {
        /// What was tried.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The container's processes cannot be ended.
    #[error("the sandbox of container {0} does not end though it was killed")]
    Unkillable(ContainerId),
    /// The container has no control group whose limits could be changed.
    #[error(
        "container {0} has no control group: it was created where there are none, or with --ignore-cgroups"
    )]
    NoGroup(ContainerId),
    /// Limits are not what the specification says.
    #[error("the limits are no valid linux.resources: {0}")]
    Limits(serde_json::Error),
    /// A string is no signal.
    #[error("{0:?} is not a signal; use a name such as TERM or a number from 1 to 64")]
    NoSignal(String),
}
