//! Registering this program with container engines, and taking that back: an entry in a configuration file of theirs.
//!
//! All else in the file stays as it is; comments and layout too, where the form has comments.

mod containerd;
mod docker;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A container engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Docker's `daemon.json`.
    Docker,
    /// containerd's `config.toml`, for Kubernetes.
    Containerd,
}

/// What the engine is to know.
#[derive(Clone, Debug)]
pub struct Runtime<'a> {
    /// The name by which users choose it.
    pub name: &'a str,
    /// The program.
    pub program: &'a Path,
    /// Flags that the program always gets; only Docker can pass them.
    pub flags: &'a [String],
}

/// A change of a configuration.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// An entry is added or replaced.
    Add(&'a Runtime<'a>),
    /// The entry of this name is removed.
    Remove(&'a str),
}

/// A configuration cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// It cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// It is not what the engine would understand.
    #[error("{path} is not a configuration that can be changed: {problem}")]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl Engine {
    /// Where its configuration usually is.
    #[must_use]
    pub fn usual_path(self) -> &'static Path {
        Path::new(match self {
            Self::Docker => "/etc/docker/daemon.json",
            Self::Containerd => "/etc/containerd/config.toml",
        })
    }

    /// Returns the text of the configuration at `path` after a change; `None` if that changes nothing. A file that does not
    /// exist is an empty configuration.
    ///
    /// # Errors
    ///
    /// It cannot be read, or not be understood.
    pub fn changed(self, path: &Path, change: Change<'_>) -> Result<Option<String>, InstallError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(InstallError::File { action: "read", path: path.to_owned(), source }),
        };
        let changed = match self {
            Self::Docker => docker::changed(&text, change),
            Self::Containerd => containerd::changed(&text, change),
        };
        let changed = changed.map_err(|problem| InstallError::Form { path: path.to_owned(), problem })?;
        Ok(Some(changed).filter(|changed| *changed != text))
    }
}

/// Replaces a configuration in one step, with the permissions that it has.
///
/// # Errors
///
/// The system's: no permission.
pub fn write(path: &Path, text: &str) -> Result<(), InstallError> {
    let fail = |source| InstallError::File { action: "write", path: path.to_owned(), source };
    // A link stays one.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().unwrap_or_else(|| Path::new("/"));
    fs::create_dir_all(folder).map_err(fail)?;
    let mut file = NamedTempFile::new_in(folder).map_err(fail)?;
    file.write_all(text.as_bytes()).map_err(fail)?;
    let permissions = fs::metadata(&target)
        .map_or_else(|_| std::os::unix::fs::PermissionsExt::from_mode(0o644), |known| known.permissions());
    file.as_file().set_permissions(permissions).map_err(fail)?;
    file.persist(&target).map_err(|error| fail(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_keep_their_permissions_and_links() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("real"), folder.path().join("daemon.json"));
        fs::write(&file, "{}").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&file, &link).unwrap();
        let runtime = Runtime { name: "c", program: Path::new("/bin/c"), flags: &[] };
        let text = Engine::Docker.changed(&link, Change::Add(&runtime)).unwrap().unwrap();
        write(&link, &text).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(Engine::Docker.changed(&link, Change::Add(&runtime)).unwrap(), None);
        let missing = folder.path().join("new/daemon.json");
        write(&missing, "{}\n").unwrap();
        assert_eq!(Engine::Docker.changed(&missing, Change::Remove("c")).unwrap(), None);
    }
}
