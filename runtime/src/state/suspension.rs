//! Whether a container is suspended: one name of one file decides, so that it changes in one step.
//!
//! | file | what |
//! |---|---|
//! | `suspension.json` | [`Suspension`]: where the container's last image is; written before anything else is done |
//! | `suspended` | a second name of it, there for as long as the container is suspended |
//!
//! The kernel of a container that is about to be suspended, or was just woken, has this file open. If whoever works on the
//! container is killed, the number of names tells the kernel whether to end or to go on
//! ([`Hold`](cloister_proto::control::Hold)).

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Entry, StateError};

const FILE: &str = "suspension.json";
const SECOND_NAME: &str = "suspended";

/// Where the last image of a container is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// Absolute path of the snapshot.
    pub image: PathBuf,
}

impl Entry {
    /// Returns whether the container is suspended.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.path().join(SECOND_NAME).exists()
    }

    /// Returns where the last image is, if the container was ever about to be suspended.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn suspension(&self) -> Result<Option<Suspension>, StateError> {
        let fail = |source| self.file_error("read the suspension", source);
        match fs::read(self.path().join(FILE)) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| fail(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fail(error)),
        }
    }

    /// Notes where the image of the container, which runs, is going to be.
    ///
    /// # Errors
    ///
    /// The system's: no space, no permission.
    pub fn prepare_suspension(&self, suspension: &Suspension) -> Result<File, StateError> {
        self.write_json(FILE, suspension)
            .and_then(|()| self.suspension_file_of().and_then(|file| file.sync_all().map(|()| file)))
            .map_err(|source| self.file_error("write the suspension", source))
    }

    /// Opens the file whose names tell whether the container is suspended.
    ///
    /// # Errors
    ///
    /// The system's: there is none.
    pub fn suspension_file(&self) -> Result<File, StateError> {
        self.suspension_file_of().map_err(|source| self.file_error("open the suspension", source))
    }

    fn suspension_file_of(&self) -> io::Result<File> {
        File::open(self.path().join(FILE))
    }

    /// Makes the container suspended: its image is on the disk.
    ///
    /// # Errors
    ///
    /// The system's; it is not suspended then.
    pub fn begin_suspension(&self) -> Result<(), StateError> {
        let (file, second) = (self.path().join(FILE), self.path().join(SECOND_NAME));
        fs::hard_link(file, second).map_err(|source| self.file_error("suspend the folder", source))?;
        // It is suspended now, whether or not it would be after a loss of power.
        let _ = File::open(self.path()).and_then(|folder| folder.sync_all());
        Ok(())
    }

    /// Makes the container one that is not suspended: its kernel has all of it.
    ///
    /// # Errors
    ///
    /// The system's; it stays suspended.
    pub fn end_suspension(&self) -> Result<(), StateError> {
        fs::remove_file(self.path().join(SECOND_NAME))
            .map_err(|source| self.file_error("wake the folder", source))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::state::Store;

    #[test]
    fn a_second_name_makes_it_suspended() {
        let root = tempfile::tempdir().unwrap();
        let entry = Store::new(root.path().to_owned()).create(&"c".parse().unwrap()).unwrap();
        assert_eq!(entry.suspension().unwrap(), None);
        for image in ["/a", "/b"] {
            let suspension = Suspension { image: image.into() };
            let file = entry.prepare_suspension(&suspension).unwrap();
            assert!(!entry.is_suspended());
            assert_eq!(file.metadata().unwrap().nlink(), 1);
            entry.begin_suspension().unwrap();
            assert!(entry.is_suspended());
            assert_eq!(file.metadata().unwrap().nlink(), 2);
            assert_eq!(entry.suspension().unwrap(), Some(suspension));
            entry.end_suspension().unwrap();
            assert!(!entry.is_suspended());
            assert_eq!(file.metadata().unwrap().nlink(), 1);
        }
        entry.end_suspension().unwrap_err();
    }
}
