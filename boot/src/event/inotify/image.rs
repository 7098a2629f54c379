//! The saved form of an inotify instance.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Inotify;
use super::queue::{EventQueue, Queued, WatchMask};
use crate::error::Errno;
use crate::fs::{Dentry, DentryImage, Inode};
use crate::prelude::errno;

/// The saved form of an inotify instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InotifyImage {
    /// What was not read yet.
    events: Vec<Queued>,
    watches: Vec<WatchImage>,
    last_descriptor: i32,
}

/// The saved form of a watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct WatchImage {
    descriptor: i32,
    mask: u32,
    /// The id of the file system in the snapshot.
    file_system: u64,
    dentry: DentryImage,
}

impl Inotify {
    /// Returns the saved form; the ids that file systems and inodes have in the snapshot are told by `file_system_id` and
    /// `inode_id`.
    pub(crate) fn to_image(
        &self,
        file_system_id: impl Fn(&Arc<Dentry>) -> u64,
        inode_id: impl Fn(&Arc<dyn Inode>) -> u64,
    ) -> InotifyImage {
        let (events, watches, last_descriptor) = self.saved_parts();
        let watches = watches.into_iter().map(|watch| WatchImage {
            descriptor: watch.descriptor,
            mask: watch.mask().bits(),
            file_system: file_system_id(&watch.dentry),
            dentry: DentryImage::of(&watch.dentry, &inode_id),
        });
        InotifyImage { events, watches: watches.collect(), last_descriptor }
    }

    /// Makes an instance as it was saved; `dentry_of` finds the dentry of a file system with this id.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the image contradicts itself, and those of `dentry_of`.
    pub(crate) fn from_image(
        image: InotifyImage,
        dentry_of: impl Fn(u64, &DentryImage) -> Result<Arc<Dentry>, Errno>,
    ) -> Result<Self, Errno> {
        let instance = Self::with_events(EventQueue::from(image.events), image.last_descriptor);
        for watch in image.watches {
            if !(1..=image.last_descriptor).contains(&watch.descriptor) {
                return Err(errno::EINVAL);
            }
            let dentry = dentry_of(watch.file_system, &watch.dentry)?;
            let mask = WatchMask::from_bits_retain(watch.mask);
            instance.restore_watch(watch.descriptor, &dentry, mask)?;
        }
        Ok(instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::notify::{self, Event};
    use crate::fs::tmpfs::{Tmpfs, TmpfsOptions};
    use crate::fs::{DentryCache, NewInode, NewInodeKind};
    use crate::testing::saved;

    #[test]
    fn watches_and_events_come_back() {
        let cache = DentryCache::default();
        let root = Dentry::new_root(Tmpfs::new_root(TmpfsOptions::default()));
        let new = NewInode { kind: NewInodeKind::Directory, permissions: 0o755, uid: 0, gid: 0 };
        let inode = root.inode().create(b"d", &new).unwrap();
        let directory = root.lock_directory().add(b"d", inode, &cache);
        let instance = Inotify::default();
        assert_eq!(instance.watch(&directory, WatchMask::ALL_EVENTS), Ok(1));
        assert_eq!(instance.watch(&root, WatchMask::ALL_EVENTS | WatchMask::ONE_SHOT), Ok(2));
        instance.remove(2).unwrap();
        notify::in_directory(&directory, Event::CREATE, b"new", 0);

        let image = saved(&instance.to_image(|_| 4, |_| 0));
        drop(instance);
        let dentry_of = |file_system: u64, image: &DentryImage| {
            assert_eq!(file_system, 4);
            image.restore(&root, &cache, |_| None)
        };
        let restored = Inotify::from_image(image.clone(), dentry_of).unwrap();
        assert_eq!(restored.to_image(|_| 4, |_| 0), image);
        notify::in_directory(&directory, Event::DELETE, b"new", 0);
        let told: Vec<_> = restored.to_image(|_| 4, |_| 0).events.iter().map(|e| (e.watch, e.mask)).collect();
        let ignored = WatchMask::IGNORED.bits();
        assert_eq!(told, [(2, ignored), (1, Event::CREATE.bits()), (1, Event::DELETE.bits())]);
        assert_eq!(restored.watch(&root, WatchMask::ALL_EVENTS), Ok(3));

        let unknown = InotifyImage { last_descriptor: 0, ..image.clone() };
        assert_eq!(Inotify::from_image(unknown, dentry_of).map(drop), Err(errno::EINVAL));
        let mut twice = image;
        twice.watches.extend(twice.watches.clone());
        assert_eq!(Inotify::from_image(twice, dentry_of).map(drop), Err(errno::EINVAL));
    }
}
