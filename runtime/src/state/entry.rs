//! One container's folder, locked.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use cloister_proto::transport::{Connection, Listener, TransportError};
use oci_spec::runtime::Spec;
use rustix::fs::{FlockOperation, flock};
use tempfile::NamedTempFile;

use super::{ContainerId, Record, StateError};
use crate::cgroup::Group;

/// A container's folder, locked as long as this value lives, unless it is unlocked before.
#[derive(Debug)]
pub struct Entry {
    id: ContainerId,
    path: PathBuf,
    folder: OwnedFd,
}

impl Entry {
    pub(super) fn new(id: ContainerId, path: PathBuf, folder: OwnedFd) -> Self {
        Self { id, path, folder }
    }

    /// The container's id.
    #[must_use]
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// The folder's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets other commands work on the container while this value lives on.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn unlock(&self) -> Result<(), StateError> {
        flock(&self.folder, FlockOperation::Unlock)
            .map_err(|errno| self.file_error("unlock the folder", errno.into()))
    }

    /// Reads the record.
    ///
    /// # Errors
    ///
    /// [`StateError::Incomplete`] if there is none.
    pub fn record(&self) -> Result<Record, StateError> {
        let fail = |source| self.file_error("read the state", source);
        let text = match fs::read(self.path.join("state.json")) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StateError::Incomplete(self.id.clone()));
            }
            Err(error) => return Err(fail(error)),
        };
        let record: Record = serde_json::from_slice(&text).map_err(|error| fail(error.into()))?;
        if record.format != Record::FORMAT {
            let text = format!("it was written by another version (format {})", record.format);
            return Err(fail(io::Error::new(io::ErrorKind::InvalidData, text)));
        }
        Ok(record)
    }

    /// Writes the record: all of it, or, on failure, none of it.
    ///
    /// # Errors
    ///
    /// The system's: no space, no permission.
    pub fn write_record(&self, record: &Record) -> Result<(), StateError> {
        self.write_json("state.json", record).map_err(|source| self.file_error("write the state", source))
    }

    /// Reads the configuration as it was at creation.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn config(&self) -> Result<Spec, StateError> {
        let fail = |source| self.file_error("read the configuration", source);
        let text = fs::read(self.path.join("config.json")).map_err(fail)?;
        serde_json::from_slice(&text).map_err(|error| fail(error.into()))
    }

    /// Keeps the configuration.
    ///
    /// # Errors
    ///
    /// The system's: no space, no permission.
    pub fn write_config(&self, spec: &Spec) -> Result<(), StateError> {
        self.write_json("config.json", spec)
            .map_err(|source| self.file_error("write the configuration", source))
    }

    pub(super) fn write_json(&self, name: &str, value: &impl serde::Serialize) -> io::Result<()> {
        let mut file = NamedTempFile::new_in(&self.path)?;
        serde_json::to_writer(&mut file, value)?;
        file.flush()?;
        file.persist(self.path.join(name))?;
        Ok(())
    }

    /// Opens the log for appending; it is made if it does not exist.
    ///
    /// # Errors
    ///
    /// The system's: no space, no permission.
    pub fn log(&self) -> Result<File, StateError> {
        OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(self.path.join("log"))
            .map_err(|source| self.file_error("open the log", source))
    }

    /// Makes the control socket.
    ///
    /// # Errors
    ///
    /// The system's: it exists already.
    pub fn listen(&self) -> Result<Listener, TransportError> {
        let listener = Listener::bind(&self.short_path("control.sock"))?;
        // The folder is closed to others, so nobody could connect before.
        fs::set_permissions(self.path.join("control.sock"), fs::Permissions::from_mode(0o600))
            .map_err(|source| TransportError::Io { action: "close the control socket to others", source })?;
        Ok(listener)
    }

    /// Removes the control socket, if there is one.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn remove_socket(&self) -> Result<(), StateError> {
        match fs::remove_file(self.path.join("control.sock")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(|source| self.file_error("remove the control socket", source)),
        }
    }

    /// Makes the control socket a link to that of the sandbox with the root container `root`.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn join(&self, root: &ContainerId) -> Result<(), StateError> {
        let target = Path::new("..").join(root.as_str()).join("control.sock");
        std::os::unix::fs::symlink(target, self.path.join("control.sock"))
            .map_err(|source| self.file_error("link the control socket", source))
    }

    /// Returns whether the container is one that [joined](Self::join) a sandbox, made to the end or not.
    #[must_use]
    pub fn has_joined(&self) -> bool {
        self.path.join("control.sock").is_symlink()
    }

    /// Connects to the control socket.
    ///
    /// # Errors
    ///
    /// The system's: nobody listens.
    pub fn connect(&self) -> Result<Connection, TransportError> {
        Connection::connect(&self.short_path("control.sock"))
    }

    /// Returns the control group, if there is one.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn group(&self) -> Result<Option<Group>, StateError> {
        let fail = |source| self.file_error("read the control group", source);
        match fs::read(self.path.join("cgroup.json")) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| fail(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fail(error)),
        }
    }

    /// Remembers the control group: it is removed with the folder.
    ///
    /// # Errors
    ///
    /// The system's: no space, no permission.
    pub fn write_group(&self, group: &Group) -> Result<(), StateError> {
        self.write_json("cgroup.json", group)
            .map_err(|source| self.file_error("write the control group", source))
    }

    /// Forgets the control group, which could not be made.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn forget_group(&self) -> Result<(), StateError> {
        fs::remove_file(self.path.join("cgroup.json"))
            .map_err(|source| self.file_error("forget the control group", source))
    }

    /// Removes the control group, and the folder with all in it.
    ///
    /// # Errors
    ///
    /// The system's, or a process is left in the group.
    pub fn remove(self) -> Result<(), StateError> {
        if let Some(group) = self.group()? {
            group.remove()?;
        }
        match fs::remove_dir_all(&self.path) {
            // Whoever waits for the container in the foreground removes it as well.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(|source| self.file_error("remove the folder", source)),
        }
    }

    /// A path of a file in the folder that fits a socket's address, however long the folder's is.
    fn short_path(&self, name: &str) -> PathBuf {
        format!("/proc/self/fd/{}/{name}", self.folder.as_fd().as_raw_fd()).into()
    }

    pub(super) fn file_error(&self, action: &'static str, source: io::Error) -> StateError {
        StateError::File { id: self.id.clone(), action, source }
    }
}
