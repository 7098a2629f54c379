//! Files that only descriptors refer to (`memfd_create(2)`).

use std::sync::Arc;

use bitflags::bitflags;
use serde::{Deserialize, Serialize};

use super::{Tmpfs, TmpfsOptions};
use crate::fs::{Dentry, DentryCache, Mount, NewInode, NewInodeKind, Path};
use crate::task::Credentials;

bitflags! {
    /// What a file's contents are sealed against (`fcntl(2)`, "File Sealing"), with Linux' numbers.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    pub(crate) struct Seals: u32 {
        /// Further seals.
        const SEAL = 1;
        /// A smaller size.
        const SHRINK = 2;
        /// A larger size.
        const GROW = 4;
        /// All changes of the contents.
        const WRITE = 8;
        /// Changes through descriptors and new mappings.
        const FUTURE_WRITE = 16;
        /// A change of the execute bits of the mode.
        const EXEC = 32;
    }
}

/// The kernel's own mount of the files that `memfd_create(2)` makes.
#[derive(Debug)]
pub(crate) struct MemfdMount {
    mount: Arc<Mount>,
    file_system: Arc<Tmpfs>,
}

impl MemfdMount {
    /// Makes the mount.
    pub(crate) fn new(cache: &Arc<DentryCache>) -> Self {
        let file_system = Tmpfs::new(TmpfsOptions::default());
        let root = Dentry::new_root(Tmpfs::root_of(&file_system));
        Self { mount: Mount::new_internal(root, Arc::clone(cache)), file_system }
    }

    /// Makes an empty file; `name` is what `/proc/PID/fd` tells.
    pub(crate) fn create(&self, name: &[u8], permissions: u32, seals: Seals, owner: &Credentials) -> Path {
        let new = NewInode { kind: NewInodeKind::Regular, permissions, uid: owner.fsuid, gid: owner.fsgid };
        let inode = Self::new_file(&self.file_system, &new, seals);
        let label = [b"/memfd:", name].concat();
        let dentry = Dentry::new_unnamed(inode, &label);
        dentry.set_removed(&self.mount.cache);
        Path::new(Arc::clone(&self.mount), dentry)
    }
}
