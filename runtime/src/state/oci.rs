//! The state of a container as the OCI runtime specification has it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::{ContainerId, Record};

/// Where in its life a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is being made; only hooks see this.
    Creating,
    /// It is made; its process does not run yet.
    Created,
    /// Its process runs.
    Running,
    /// It is frozen.
    Paused,
    /// It is on the disk, and nothing of it runs. Not in the specification.
    Suspended,
    /// Its process has ended.
    Stopped,
}

/// The state document: `cloister state` prints it, and hooks read it from standard input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OciState {
    /// Version of the specification.
    pub oci_version: String,
    /// The container.
    pub id: String,
    /// Where in its life it is.
    pub status: Status,
    /// Id of the process that stands for it on the host: the sandbox's kernel for the root container. 0 when it is
    /// stopped or suspended.
    pub pid: i32,
    /// The bundle's folder.
    pub bundle: PathBuf,
    /// The root file system. Not in the specification; `runc` has it.
    pub rootfs: PathBuf,
    /// When it was created. Not in the specification; `runc` has it.
    pub created: String,
    /// Name of the creator. Not in the specification; `runc` has it.
    pub owner: String,
    /// Annotations of the configuration.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl OciState {
    /// The state document of a container.
    #[must_use]
    pub fn new(id: &ContainerId, record: &Record, status: Status) -> Self {
        Self {
            oci_version: record.oci_version.clone(),
            id: id.to_string(),
            status,
            pid: if matches!(status, Status::Stopped | Status::Suspended) { 0 } else { record.process().pid },
            bundle: record.bundle.clone(),
            rootfs: record.rootfs.clone(),
            created: record.created.clone(),
            owner: record.owner.to_string(),
            annotations: record.annotations.clone(),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Suspended => "suspended",
            Self::Stopped => "stopped",
        })
    }
}
