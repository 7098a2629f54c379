//! The folder of all containers.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, open, stat};
use rustix::io::{Errno, retry_on_intr};

use super::{ContainerId, Entry, StateError};

/// How long processes may still hold a lock that were forked by a command that was killed; they end by themselves.
const PATIENCE: Duration = Duration::from_secs(3);

/// The folder of all containers.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// A store in `root`. Nothing is made before a container is.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The store of this user: `/run/cloister` for root, `$XDG_RUNTIME_DIR/cloister` for others.
    ///
    /// # Errors
    ///
    /// [`StateError::NoRoot`] if there is no such place.
    pub fn of_user() -> Result<Self, StateError> {
        if rustix::process::geteuid().is_root() {
            return Ok(Self::new("/run/cloister".into()));
        }
        match std::env::var_os("XDG_RUNTIME_DIR") {
            Some(folder) if Path::new(&folder).is_absolute() => {
                Ok(Self::new(Path::new(&folder).join("cloister")))
            }
            _ => Err(StateError::NoRoot),
        }
    }

    /// The folder's path.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes a container's folder.
    ///
    /// What is left of a creation that was killed is taken over.
    ///
    /// # Errors
    ///
    /// [`StateError::Exists`], or the system's: the store cannot be written.
    pub fn create(&self, id: &ContainerId) -> Result<Entry, StateError> {
        let fail = |source| StateError::Root { path: self.root.clone(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.root).map_err(fail)?;
        let path = self.path(id);
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => {
                return self
                    .lock(id, FlockOperation::LockExclusive)
                    .map_err(|_| StateError::Exists(id.clone()));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(fail(error)),
        }
        let has_state = || path.join("state.json").exists();
        let until = Instant::now() + PATIENCE;
        let entry = loop {
            match self.lock(id, FlockOperation::NonBlockingLockExclusive) {
                Ok(entry) => break entry,
                // Somebody works on it, or has just removed it.
                Err(_) if has_state() || Instant::now() >= until => {
                    return Err(StateError::Exists(id.clone()));
                }
                Err(_) => thread::sleep(Duration::from_millis(2)),
            }
        };
        if has_state() {
            return Err(StateError::Exists(id.clone()));
        }
        entry.remove()?;
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(fail)?;
        self.lock(id, FlockOperation::LockExclusive)
    }

    /// Locks a container that exists.
    ///
    /// # Errors
    ///
    /// [`StateError::NotFound`].
    pub fn open(&self, id: &ContainerId) -> Result<Entry, StateError> {
        self.lock(id, FlockOperation::LockExclusive)
    }

    /// Opens a container without locking it, for commands that only ask.
    ///
    /// # Errors
    ///
    /// [`StateError::NotFound`].
    pub fn peek(&self, id: &ContainerId) -> Result<Entry, StateError> {
        Ok(Entry::new(id.clone(), self.path(id), self.open_folder(id)?))
    }

    /// Ids of all containers, sorted.
    ///
    /// # Errors
    ///
    /// The system's: the store cannot be read.
    pub fn list(&self) -> Result<Vec<ContainerId>, StateError> {
        let fail = |source| StateError::Root { path: self.root.clone(), source };
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fail(error)),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(fail)?.file_name();
            ids.extend(name.to_str().and_then(|name| name.parse().ok()));
        }
        ids.sort();
        Ok(ids)
    }

    fn path(&self, id: &ContainerId) -> PathBuf {
        self.root.join(id.as_str())
    }

    fn open_folder(&self, id: &ContainerId) -> Result<OwnedFd, StateError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        open(self.path(id), flags, Mode::empty()).map_err(|errno| match errno {
            Errno::NOENT | Errno::NOTDIR => StateError::NotFound(id.clone()),
            errno => StateError::Root { path: self.root.clone(), source: errno.into() },
        })
    }

    fn lock(&self, id: &ContainerId, operation: FlockOperation) -> Result<Entry, StateError> {
        let folder = self.open_folder(id)?;
        let fail = |errno: Errno| StateError::File {
            id: id.clone(),
            action: "lock the folder",
            source: errno.into(),
        };
        retry_on_intr(|| flock(&folder, operation)).map_err(fail)?;
        // Whoever had the lock before may have removed the folder.
        let path = self.path(id);
        let ours = fstat(&folder).map_err(fail)?;
        match stat(&path) {
            Ok(found) if (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino) => {
                Ok(Entry::new(id.clone(), path, folder))
            }
            _ => Err(StateError::NotFound(id.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{ProcessIdentity, Record, RootWrites};

    fn record() -> Record {
        let process = ProcessIdentity { pid: 1, start_time: 2 };
        Record {
            format: Record::FORMAT,
            oci_version: "1.0.2".into(),
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            annotations: [("k".into(), "v".into())].into(),
            created: "2026-01-01T00:00:00Z".into(),
            owner: 0,
            timeline: crate::timeline::Timeline::default(),
            sandbox: None,
            root_writes: RootWrites::Memory,
            boot: process,
            gofer: process,
            deputy: None,
        }
    }

    #[test]
    fn ids_are_taken_once() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path().join("deep/root"));
        assert_eq!(store.list().unwrap(), []);
        let id: ContainerId = "c".parse().unwrap();
        let entry = store.create(&id).unwrap();
        assert!(matches!(store.create(&id), Err(StateError::Exists(_))), "while it is made");
        assert!(matches!(entry.record(), Err(StateError::Incomplete(_))));
        entry.write_record(&record()).unwrap();
        assert_eq!(entry.record().unwrap(), record());
        drop(entry);
        assert!(matches!(store.create(&id), Err(StateError::Exists(_))), "after it was made");
        assert_eq!(store.list().unwrap(), std::slice::from_ref(&id));
        store.open(&id).unwrap().remove().unwrap();
        assert!(matches!(store.open(&id), Err(StateError::NotFound(_))));
    }

    #[test]
    fn remains_of_a_killed_creation_are_taken_over() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path().to_owned());
        let id: ContainerId = "c".parse().unwrap();
        let entry = store.create(&id).unwrap();
        let _socket = entry.listen().unwrap();
        drop(entry);
        store.create(&id).unwrap().listen().unwrap();
    }

    #[test]
    fn sockets_work_below_long_paths() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path().join("x".repeat(200)));
        let entry = store.create(&"c".parse().unwrap()).unwrap();
        let listener = entry.listen().unwrap();
        let connection = entry.connect().unwrap();
        connection.send(&1u8, &[]).unwrap();
        assert_eq!(listener.accept().unwrap().receive::<u8>().unwrap().unwrap().0, 1);
    }

    #[test]
    fn a_root_that_cannot_be_written_is_told() {
        let store = Store::new("/proc/cloister".into());
        let error = store.create(&"c".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("--root"), "{error}");
    }
}
