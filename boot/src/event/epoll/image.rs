//! The saved form of an epoll instance.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Epoll, Nesting, Setting};
use crate::error::Errno;
use crate::fs::OpenFile;

/// The saved form of an epoll instance: its interests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EpollImage {
    interests: Vec<InterestImage>,
}

/// The saved form of an interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct InterestImage {
    /// The id of the description in the snapshot.
    file: u64,
    fd: i32,
    setting: Setting,
}

impl Epoll {
    /// Returns the saved form; `id_of` tells the ids that descriptions have in the snapshot.
    pub(crate) fn to_image(&self, mut id_of: impl FnMut(&Arc<OpenFile>) -> u64) -> EpollImage {
        let watched: Vec<_> = {
            let interests = self.inner.interests.lock();
            interests.map.values().map(|watched| Arc::clone(&watched.interest)).collect()
        };
        let image = |interest: &Arc<super::interest::Interest>| {
            let file = id_of(&interest.file()?);
            Some(InterestImage { file, fd: interest.key.fd, setting: interest.setting() })
        };
        let mut interests: Vec<_> = watched.iter().filter_map(image).collect();
        interests.sort_by_key(|interest| (interest.fd, interest.file));
        EpollImage { interests }
    }

    /// Adds the interests of a saved instance; `file_of` finds descriptions by their ids.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a description is not there, and those of [`Epoll::add`].
    pub(crate) fn restore(
        &self,
        nesting: &Nesting,
        image: &EpollImage,
        mut file_of: impl FnMut(u64) -> Option<Arc<OpenFile>>,
    ) -> Result<(), Errno> {
        for interest in &image.interests {
            let file = file_of(interest.file).ok_or(crate::prelude::errno::EINVAL)?;
            self.add(nesting, &file, interest.fd, interest.setting)?;
        }
        Ok(())
    }
}
