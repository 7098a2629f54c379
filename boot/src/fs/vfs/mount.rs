//! Mounts.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bitflags::bitflags;
use cloister_sync::{Lock, class};
use serde::{Deserialize, Serialize};

use super::{Dentry, DentryCache, FileSystem, MountNamespace, Path};

bitflags! {
    /// What a mount forbids (`mount(2)`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub(crate) struct MountFlags: u64 {
        /// No writes.
        const READ_ONLY = 1;
        /// Set-id bits have no effect.
        const NO_SUID = 2;
        /// Devices can't be opened.
        const NO_DEVICES = 4;
        /// Files can't be executed.
        const NO_EXECUTE = 8;
        /// The access time is not updated.
        const NO_ACCESS_TIME = 1024;
        /// The access time of directories is not updated.
        const NO_DIRECTORY_ACCESS_TIME = 2048;
        /// The access time is updated only if it was earlier than the last change.
        const RELATIVE_ACCESS_TIME = 1 << 21;
    }
}

impl MountFlags {
    /// The options of `/proc/mounts` in their order.
    const OPTIONS: [(Self, &'static str); 6] = [
        (Self::NO_SUID, ",nosuid"),
        (Self::NO_DEVICES, ",nodev"),
        (Self::NO_EXECUTE, ",noexec"),
        (Self::NO_ACCESS_TIME, ",noatime"),
        (Self::NO_DIRECTORY_ACCESS_TIME, ",nodiratime"),
        (Self::RELATIVE_ACCESS_TIME, ",relatime"),
    ];
}

/// As in `/proc/mounts`: `rw,nosuid`.
impl fmt::Display for MountFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.contains(Self::READ_ONLY) { "ro" } else { "rw" })?;
        Self::OPTIONS
            .iter()
            .filter(|(flag, _)| self.contains(*flag))
            .try_for_each(|(_, text)| f.write_str(text))
    }
}

/// What is to be mounted.
#[derive(Clone, Debug)]
pub(crate) struct NewMount {
    /// The root: of a file system, or a part of one.
    pub(crate) root: Arc<Dentry>,
    /// What `/proc/mounts` tells as its source.
    pub(crate) source: String,
    /// What it forbids.
    pub(crate) flags: MountFlags,
    /// The file system's own options in `/proc/mounts`, with commas between them; may be empty.
    pub(crate) options: String,
}

/// A file system that is attached to the tree.
#[derive(Debug)]
pub(crate) struct Mount {
    /// Its id in `/proc/PID/mountinfo`.
    pub(crate) id: u32,
    /// The file system.
    pub(crate) file_system: Arc<dyn FileSystem>,
    /// Its root as seen here: a bind mount can show a part.
    pub(crate) root: Arc<Dentry>,
    /// What `/proc/mounts` tells as its source.
    pub(crate) source: String,
    /// The file system's own options in `/proc/mounts`.
    pub(crate) options: String,
    /// The cache of the names in it.
    pub(crate) cache: Arc<DentryCache>,
    flags: AtomicU64,
    namespace: Weak<MountNamespace>,
    point: Lock<Option<Path>, { class::MOUNT_POINT }>,
}

impl Mount {
    /// Makes a mount that is not attached.
    pub(super) fn new(
        id: u32,
        new: NewMount,
        cache: Arc<DentryCache>,
        namespace: Weak<MountNamespace>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            file_system: new.root.inode().file_system(),
            root: new.root,
            source: new.source,
            options: new.options,
            cache,
            flags: AtomicU64::new(new.flags.bits()),
            namespace,
            point: Lock::new(None),
        })
    }

    /// Makes a mount of the kernel's own, which no directory shows.
    pub(crate) fn new_internal(root: Arc<Dentry>, cache: Arc<DentryCache>) -> Arc<Self> {
        let new =
            NewMount { root, source: "none".to_owned(), flags: MountFlags::empty(), options: String::new() };
        Self::new(0, new, cache, Weak::new())
    }

    /// Returns what it forbids.
    pub(crate) fn flags(&self) -> MountFlags {
        MountFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }

    /// Changes what it forbids (`MS_REMOUNT`).
    pub(crate) fn set_flags(&self, flags: MountFlags) {
        self.flags.store(flags.bits(), Ordering::Relaxed);
    }

    /// Returns whether nothing in it may be changed.
    pub(crate) fn is_read_only(&self) -> bool {
        self.flags().contains(MountFlags::READ_ONLY)
    }

    /// Returns the namespace that it is in, unless that is gone or it is one of the kernel's own.
    pub(crate) fn namespace(&self) -> Option<Arc<MountNamespace>> {
        self.namespace.upgrade()
    }

    /// Returns what it is mounted on; `None` for the root of a namespace, and for what is not attached.
    pub(crate) fn mount_point(&self) -> Option<Path> {
        self.point.lock().clone()
    }

    /// Sets what it is mounted on, and returns what it was mounted on before.
    pub(super) fn set_mount_point(&self, point: Option<Path>) -> Option<Path> {
        if let Some(point) = &point {
            point.dentry.add_mount();
        }
        let before = std::mem::replace(&mut *self.point.lock(), point);
        if let Some(before) = &before {
            before.dentry.remove_mount();
        }
        before
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A loop in place of the recursion: the guest decides how deep its mounts are.
        let mut point = self.point.get_mut().take();
        while let Some(Path { mount, dentry }) = point {
            dentry.remove_mount();
            point = Arc::into_inner(mount).and_then(|mut mount| mount.point.get_mut().take());
        }
    }
}
