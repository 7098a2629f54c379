//! What can be wrong with a bundle.

use std::io;
use std::path::PathBuf;

/// A bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The bundle's folder cannot be entered.
    #[error("cannot open the bundle {path}: {source}; name its folder with --bundle")]
    Folder {
        /// The bundle's folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no readable `config.json`.
    #[error("cannot read {path}: {source}; `cloister spec` writes one to start from")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// `config.json` is not what the specification says.
    #[error("{path} is not a valid OCI configuration: {source}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: serde_json::Error,
    },
    /// The configuration is of a version that this program does not know.
    #[error("ociVersion {version:?} is not supported: this program knows 1.0 to 1.3")]
    Version {
        /// The version.
        version: String,
    },
    /// A field is missing or makes no sense.
    #[error("{field} {problem}")]
    Field {
        /// The field's name in the configuration.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Something of the host that the container is to have is not there.
    #[error("{field}: cannot open {path}: {source}")]
    Missing {
        /// The field's name in the configuration.
        field: String,
        /// What it names.
        path: PathBuf,
        /// Why it cannot be had.
        source: io::Error,
    },
}

impl BundleError {
    pub(super) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field { field: field.into(), problem: problem.into() }
    }
}
