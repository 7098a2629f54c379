//! How long a container may do nothing.
//!
//! | file | what |
//! |---|---|
//! | `lifetime.json` | [`Lifetime`]; containers that no manager made have none |
//! | `activity` | its time of change is that of the last activity; it is locked by whoever uses the container |

use std::fs::{self, File};
use std::io;
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{Entry, StateError};

const FILE: &str = "lifetime.json";
const ACTIVITY: &str = "activity";

/// How long a container may do nothing, and what becomes of it then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifetime {
    /// How long it may; `None` is for ever.
    pub idle: Option<Duration>,
    /// What becomes of it then.
    pub then: Then,
}

/// What becomes of a container that did nothing for long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Then {
    /// It is suspended.
    #[default]
    Suspend,
    /// It is destroyed.
    Destroy,
}

/// The use of a container, as long as this lives: it is not idle.
#[derive(Debug)]
pub struct Use {
    file: File,
}

impl Entry {
    /// Returns how long the container may do nothing; `None` if no manager made it.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn lifetime(&self) -> Result<Option<Lifetime>, StateError> {
        let fail = |source| self.file_error("read the lifetime", source);
        match fs::read(self.path().join(FILE)) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| fail(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fail(error)),
        }
    }

    /// Sets how long the container may do nothing, from now on.
    ///
    /// # Errors
    ///
    /// The system's: no space, no permission.
    pub fn set_lifetime(&self, lifetime: &Lifetime) -> Result<(), StateError> {
        let write = || {
            File::create(self.path().join(ACTIVITY))?.set_modified(SystemTime::now())?;
            self.write_json(FILE, lifetime)
        };
        write().map_err(|source| self.file_error("write the lifetime", source))
    }

    /// Uses the container.
    ///
    /// # Errors
    ///
    /// The system's: no manager made the container.
    pub fn begin_use(&self) -> Result<Use, StateError> {
        let begin = || -> io::Result<Use> {
            let file = File::options().write(true).open(self.path().join(ACTIVITY))?;
            flock(&file, FlockOperation::LockShared)?;
            file.set_modified(SystemTime::now())?;
            Ok(Use { file })
        };
        begin().map_err(|source| self.file_error("note the use", source))
    }

    /// Returns when the container did something last; `None` if it does now.
    ///
    /// # Errors
    ///
    /// The system's: no manager made the container.
    pub fn last_activity(&self) -> Result<Option<SystemTime>, StateError> {
        let look = || -> io::Result<Option<SystemTime>> {
            let file = File::open(self.path().join(ACTIVITY))?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => file.metadata()?.modified().map(Some),
                Err(Errno::WOULDBLOCK) => Ok(None),
                Err(error) => Err(error.into()),
            }
        };
        look().map_err(|source| self.file_error("look for the last use", source))
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        // Without this it seems to have been idle for longer, which is no worse.
        let _ = self.file.set_modified(SystemTime::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Store;

    #[test]
    fn who_is_used_is_not_idle() {
        let root = tempfile::tempdir().unwrap();
        let entry = Store::new(root.path().to_owned()).create(&"c".parse().unwrap()).unwrap();
        assert_eq!(entry.lifetime().unwrap(), None);
        entry.begin_use().unwrap_err();
        let lifetime = Lifetime { idle: Some(Duration::from_secs(7)), then: Then::Destroy };
        let before = SystemTime::now() - Duration::from_secs(1);
        entry.set_lifetime(&lifetime).unwrap();
        assert_eq!(entry.lifetime().unwrap(), Some(lifetime));
        assert!(entry.last_activity().unwrap().unwrap() > before);
        let (one, other) = (entry.begin_use().unwrap(), entry.begin_use().unwrap());
        drop(one);
        assert_eq!(entry.last_activity().unwrap(), None);
        drop(other);
        assert!(entry.last_activity().unwrap().is_some());
    }
}
