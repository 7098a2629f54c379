//! Why a snapshot cannot be written or used.

use std::io;
use std::path::PathBuf;

/// A snapshot cannot be written or used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A file cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// There is something else in its place.
    #[error("{} exists and is no snapshot; name another folder by --image-path", .0.display())]
    Occupied(PathBuf),
    /// There is no snapshot.
    #[error("{} is no snapshot: it has no manifest.json; a checkpoint that did not end leaves none", .0.display())]
    NoManifest(PathBuf),
    /// The manifest cannot be read.
    #[error("{} is damaged: {source}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The snapshot is of another version.
    #[error("snapshot {} has format {found}; this program reads format {expected}", path.display())]
    Format {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// What can be read.
        expected: u32,
    },
    /// The kernel is another build.
    #[error("snapshot {} was made by build {found} of Cloister, and this is {expected}", path.display())]
    Build {
        /// The folder.
        path: PathBuf,
        /// What made it.
        found: String,
        /// What this is.
        expected: String,
    },
    /// A file is not as it was written.
    #[error("{} is damaged: {what}; the snapshot cannot be used", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A container of a pod is to be brought back.
    #[error(
        "the bundle has the container join another's sandbox, which a container that was saved cannot do"
    )]
    Pod,
    /// The processor lacks something.
    #[error("snapshot {} needs a processor with {missing}", path.display())]
    Processor {
        /// The folder.
        path: PathBuf,
        /// What this one lacks.
        missing: String,
    },
    /// A process of the sandbox cannot be looked at.
    #[error("cannot find the pages of process {pid} of the sandbox: {source}")]
    Pages {
        /// Its id in the sandbox's PID namespace.
        pid: i32,
        /// Why.
        source: io::Error,
    },
}
