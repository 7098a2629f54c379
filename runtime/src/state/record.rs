//! What is remembered of a container.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ProcessIdentity;
use crate::timeline::Timeline;

/// What is remembered of a container between two commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this form; readers refuse others.
    pub format: u32,
    /// `ociVersion` of the configuration.
    pub oci_version: String,
    /// Absolute path of the bundle.
    pub bundle: PathBuf,
    /// Absolute path of the root file system.
    pub rootfs: PathBuf,
    /// Annotations of the configuration.
    pub annotations: BTreeMap<String, String>,
    /// When the container was created, RFC 3339.
    pub created: String,
    /// User id of the creator.
    pub owner: u32,
    /// When which step of the creation was done.
    #[serde(default)]
    pub timeline: Timeline,
    /// The root container of the sandbox, if the container is another one.
    #[serde(default)]
    pub sandbox: Option<String>,
    /// The sandbox's kernel.
    pub boot: ProcessIdentity,
    /// The container's file server.
    pub gofer: ProcessIdentity,
    /// Of a container that is not the root container of its sandbox: the process of the host that stands for it.
    #[serde(default)]
    pub deputy: Option<ProcessIdentity>,
}

impl Record {
    /// The form that this program writes.
    pub const FORMAT: u32 = 2;

    /// The process of the host that stands for the container: it ends with it, as it does.
    #[must_use]
    pub fn process(&self) -> ProcessIdentity {
        self.deputy.unwrap_or(self.boot)
    }
}
