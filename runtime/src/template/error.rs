//! Why something could not be done with a template.

use std::io;
use std::path::PathBuf;

use super::TemplateName;
use crate::container::ContainerError;
use crate::snapshot::SnapshotError;
use crate::state::StateError;

/// Something could not be done with a template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// There is no template of this name.
    #[error("template {name} does not exist in {}; `cloister template ls` shows those that do", root.display())]
    NotFound {
        /// The name.
        name: TemplateName,
        /// The folder of all templates.
        root: PathBuf,
    },
    /// There is a template of this name.
    #[error("template {0} exists already; `cloister template rm {0}` removes it")]
    Exists(TemplateName),
    /// A file of a template cannot be used.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Copies would write to the same files.
    #[error(
        "cannot make a template of container {0}: it writes to its root on the host, which its copies would share; \
         run it with --overlay root:memory, or with a read-only root"
    )]
    WritesToHost(String),
    /// Others need what the template has.
    #[error("cannot remove template {name}: its memory is needed by {}; compact or remove those first", needed_by.join(", "))]
    Needed {
        /// The template.
        name: TemplateName,
        /// What needs it, in words.
        needed_by: Vec<String>,
    },
    /// It cannot be saved, or a copy cannot be made.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The snapshot cannot be used.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The state on disk cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Makes an error of a file of one of the system.
pub(super) fn failed(
    action: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(io::Error) -> TemplateError {
    let path = path.into();
    move |source| TemplateError::File { action, path, source }
}
