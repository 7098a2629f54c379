//! What is remembered of a container.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cloister_proto::container::{Overlay, RootSpec};
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
    /// Where writes to the root go.
    #[serde(default)]
    pub root_writes: RootWrites,
    /// The sandbox's kernel.
    pub boot: ProcessIdentity,
    /// The container's file server.
    pub gofer: ProcessIdentity,
    /// Of a container that is not the root container of its sandbox: the process of the host that stands for it.
    #[serde(default)]
    pub deputy: Option<ProcessIdentity>,
}

/// Where writes to the root of a container go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RootWrites {
    /// To the host's files.
    #[default]
    Host,
    /// To memory of the sandbox.
    Memory,
    /// There are none: it is read-only.
    Nowhere,
}

impl RootWrites {
    /// Where they go for this root.
    #[must_use]
    pub fn of(root: &RootSpec) -> Self {
        match (root.overlay, root.readonly) {
            (Overlay::Memory { .. }, _) => Self::Memory,
            (Overlay::None, true) => Self::Nowhere,
            (Overlay::None, false) => Self::Host,
        }
    }

    /// The overlay that a root has to be prepared with for its writes to go there.
    #[must_use]
    pub fn overlay(self) -> Overlay {
        match self {
            Self::Memory => Overlay::Memory { size: None },
            Self::Host | Self::Nowhere => Overlay::None,
        }
    }
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
