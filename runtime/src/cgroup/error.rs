//! Why a control group cannot be used.

use std::io;
use std::path::PathBuf;

/// A control group cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// Something cannot be done with a file or folder of the hierarchy.
    #[error("cannot {action} {}: {source}{}", .path.display(), advice(.source))]
    File {
        /// What was tried.
        action: String,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// This process cannot be moved into the group.
    #[error("cannot join the control group: {0}")]
    Join(io::Error),
    /// Limits are asked for, but the machine has nothing to enforce them.
    #[error(
        "linux.resources: this machine has no {0} control group to set limits in; \
         leave the limits out, or use --ignore-cgroups"
    )]
    NoController(String),
    /// The path makes no sense.
    #[error("linux.cgroupsPath: {path:?} {problem}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A name of `linux.resources.unified` that is no file of a group, or cannot be one here.
    #[error("linux.resources.unified: {name:?} {problem}")]
    Unified {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// More memory is in use than the new limit allows.
    #[error("the memory limit of {limit} bytes is below the {usage} bytes in use")]
    InUse {
        /// The new limit.
        limit: i64,
        /// What is in use.
        usage: u64,
    },
}

impl CgroupError {
    /// Whether this user has no say over control groups here, as opposed to having asked for something wrong.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        match self {
            Self::File { source, .. } => is_denied(source),
            Self::NoController(_) => true,
            _ => false,
        }
    }
}

fn is_denied(source: &io::Error) -> bool {
    matches!(
        source.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::NotFound
    )
}

fn advice(source: &io::Error) -> &'static str {
    if is_denied(source) { "; use --ignore-cgroups where control groups cannot be managed" } else { "" }
}
