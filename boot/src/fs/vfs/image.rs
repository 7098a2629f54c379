//! The saved forms of the virtual file system's own objects: paths, mounts, descriptors, open files. (Advisory locks have
//! theirs beside them.)
//!
//! What belongs to a file system (its inodes) or to a kind of file (its [`FileOps`]) is saved by those; here it is named
//! by ids that the snapshot gives.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::{
    AsyncOwner, Dentry, DentryCache, FdFlags, FdTable, FileOps, FsContext, Inode, Mount, MountFlags,
    MountNamespace, NewMount, OpenFile, OpenFlags, Path,
};
use crate::error::Errno;
use crate::prelude::errno;

/// Where a dentry is in its file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DentryImage {
    /// At these names below the file system's root.
    Names(Vec<Box<[u8]>>),
    /// Nowhere: it was removed, or never had a name.
    Nowhere {
        /// The id of its inode in the snapshot.
        inode: u64,
        /// What `/proc/PID/fd` tells.
        label: Box<[u8]>,
    },
}

impl DentryImage {
    /// Saves a dentry; `id_of` tells the ids of inodes.
    pub(crate) fn of(dentry: &Arc<Dentry>, id_of: impl FnOnce(&Arc<dyn Inode>) -> u64) -> Self {
        let label = dentry.name();
        let mut names = Vec::new();
        let mut at = Arc::clone(dentry);
        while let (Some(parent), name) = at.place() {
            names.push(name);
            at = parent;
        }
        if dentry.is_removed() || (names.is_empty() && !label.is_empty()) {
            return Self::Nowhere { inode: id_of(dentry.inode()), label };
        }
        names.reverse();
        Self::Names(names)
    }

    /// Finds the dentry again, in the file system whose root is `root`; `inode_of` finds inodes by their ids.
    ///
    /// # Errors
    ///
    /// `ENOENT` if a name does not exist any more, `EINVAL` if the inode is not there.
    pub(crate) fn restore(
        &self,
        root: &Arc<Dentry>,
        cache: &DentryCache,
        inode_of: impl FnOnce(u64) -> Option<Arc<dyn Inode>>,
    ) -> Result<Arc<Dentry>, Errno> {
        match self {
            Self::Names(names) => {
                names.iter().try_fold(Arc::clone(root), |directory, name| directory.lookup(name, cache))
            }
            Self::Nowhere { inode, label } => {
                let inode = inode_of(*inode).ok_or(errno::EINVAL)?;
                let dentry = Dentry::new_unnamed(inode, label);
                dentry.set_removed(cache);
                Ok(dentry)
            }
        }
    }
}

/// The saved form of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PathImage {
    /// The id of the mount; 0 for one of the kernel's own, which no directory shows.
    pub(crate) mount: u32,
    /// Where it is there.
    pub(crate) dentry: DentryImage,
}

impl PathImage {
    /// Saves a path; `id_of` tells the ids of inodes.
    pub(crate) fn of(path: &Path, id_of: impl FnOnce(&Arc<dyn Inode>) -> u64) -> Self {
        Self { mount: path.mount.id, dentry: DentryImage::of(&path.dentry, id_of) }
    }

    /// Finds the path again; `mount_of` finds mounts by their ids, with the roots of their file systems.
    ///
    /// # Errors
    ///
    /// As [`DentryImage::restore`]; `EINVAL` if the mount is not there.
    pub(crate) fn restore(
        &self,
        mount_of: impl FnOnce(u32) -> Option<(Arc<Mount>, Arc<Dentry>)>,
        inode_of: impl FnOnce(u64) -> Option<Arc<dyn Inode>>,
    ) -> Result<Path, Errno> {
        let (mount, root) = mount_of(self.mount).ok_or(errno::EINVAL)?;
        let dentry = self.dentry.restore(&root, &mount.cache, inode_of)?;
        Ok(Path::new(mount, dentry))
    }
}

/// The saved form of a mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MountImage {
    id: u32,
    /// The id of the file system in the snapshot.
    file_system: u64,
    root: DentryImage,
    source: String,
    options: String,
    flags: MountFlags,
    /// What it is mounted on; `None` for the root.
    point: Option<PathImage>,
}

/// The saved form of a mount namespace: its mounts, each after the one that it is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MountNamespaceImage {
    mounts: Vec<MountImage>,
}

impl MountNamespaceImage {
    /// Saves a namespace; `id_of` tells the ids of file systems. (No mount is on something that was removed.)
    pub(crate) fn of(namespace: &MountNamespace, mut id_of: impl FnMut(&Arc<Mount>) -> u64) -> Self {
        let mounts = namespace.mounts_in_order().into_iter().map(|mount| MountImage {
            id: mount.id,
            file_system: id_of(&mount),
            root: DentryImage::of(&mount.root, |_| 0),
            source: mount.source.clone(),
            options: mount.options.clone(),
            flags: mount.flags(),
            point: mount.mount_point().map(|point| PathImage::of(&point, |_| 0)),
        });
        Self { mounts: mounts.collect() }
    }

    /// Brings a namespace back; `root_of` finds the roots of file systems by their ids.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the image contradicts itself, or as [`DentryImage::restore`].
    pub(crate) fn restore(
        self,
        cache: &Arc<DentryCache>,
        mut root_of: impl FnMut(u64) -> Option<Arc<Dentry>>,
    ) -> Result<Arc<MountNamespace>, Errno> {
        let mut namespace: Option<Arc<MountNamespace>> = None;
        let mut roots = std::collections::BTreeMap::new();
        for image in self.mounts {
            let fs_root = root_of(image.file_system).ok_or(errno::EINVAL)?;
            let root = image.root.restore(&fs_root, cache, |_| None)?;
            let new = NewMount { root, source: image.source, flags: image.flags, options: image.options };
            let mount = match (&namespace, image.point) {
                (None, None) => {
                    let made = MountNamespace::with_root_id(image.id, new, Arc::clone(cache));
                    let mount = made.root_mount();
                    namespace = Some(made);
                    mount
                }
                (Some(namespace), Some(point)) => {
                    let at = point.restore(|id| roots.get(&id).cloned(), |_| None)?;
                    namespace.mount_with_id(image.id, new, at)?
                }
                _ => return Err(errno::EINVAL),
            };
            roots.insert(image.id, (mount, fs_root));
        }
        namespace.ok_or(errno::EINVAL)
    }
}

/// The saved form of a file system context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FsContextImage {
    /// The root directory.
    pub(crate) root: PathImage,
    /// The current directory.
    pub(crate) cwd: PathImage,
    umask: u32,
}

impl FsContextImage {
    /// Saves a context; `id_of` tells the ids of inodes.
    pub(crate) fn of(context: &FsContext, mut id_of: impl FnMut(&Arc<dyn Inode>) -> u64) -> Self {
        let root = PathImage::of(&context.root(), &mut id_of);
        Self { root, cwd: PathImage::of(&context.cwd(), id_of), umask: context.umask() }
    }

    /// Makes a context in `namespace`, whose directories are for the caller to set once there are tasks: they may be in
    /// `/proc`.
    pub(crate) fn restore(&self, namespace: Arc<MountNamespace>) -> FsContext {
        let root = namespace.root();
        FsContext::new(namespace, root.clone(), root, self.umask)
    }
}

/// The saved form of an open file description.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenFileImage {
    /// Its id, which it keeps.
    pub(crate) id: u64,
    /// Where it was opened.
    pub(crate) path: PathImage,
    /// How it is open.
    pub(crate) flags: OpenFlags,
    position: u64,
    owner: AsyncOwner,
}

impl OpenFileImage {
    /// Saves a description; `id_of` tells the ids of inodes.
    pub(crate) fn of(file: &OpenFile, id_of: impl FnOnce(&Arc<dyn Inode>) -> u64) -> Self {
        Self {
            id: file.id(),
            path: PathImage::of(file.path(), id_of),
            flags: file.flags(),
            position: *file.position(),
            owner: *file.owner.lock(),
        }
    }

    /// Brings a description back, with what its kind has saved.
    pub(crate) fn restore(&self, path: Path, ops: Box<dyn FileOps>) -> OpenFile {
        // A position that is shared with processes of the host is theirs.
        let has_position = ops.outer_position().is_none();
        let file = OpenFile::with_id(self.id, path, ops, self.flags);
        if has_position {
            *file.position() = self.position;
        }
        *file.owner.lock() = self.owner;
        file
    }
}

/// The saved form of a descriptor table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FdTableImage {
    id: u64,
    /// Number, flags, and the id of the description.
    descriptors: Vec<(i32, FdFlags, u64)>,
}

impl FdTableImage {
    /// Saves a table.
    pub(crate) fn of(table: &FdTable) -> Self {
        let descriptors =
            table.entries().into_iter().map(|(fd, flags, file)| (fd, flags, file.id())).collect();
        Self { id: table.id(), descriptors }
    }

    /// Makes the table, without descriptors.
    pub(crate) fn restore(&self) -> Arc<FdTable> {
        Arc::new(FdTable::with_id(self.id))
    }

    /// Puts the descriptors into `table`; `file_of` finds descriptions by their ids.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a description is not there, or a number is negative.
    pub(crate) fn fill(
        &self,
        table: &FdTable,
        mut file_of: impl FnMut(u64) -> Option<Arc<OpenFile>>,
    ) -> Result<(), Errno> {
        for (fd, flags, file) in &self.descriptors {
            let file = file_of(*file).ok_or(errno::EINVAL)?;
            table
                .replace(*fd, file, *flags, u64::from(i32::MAX.unsigned_abs()))
                .map_err(|_| errno::EINVAL)?;
        }
        Ok(())
    }
}

/// Lets the numbers that a counter gives out begin behind `used`.
pub(super) fn reserve(counter: &std::sync::atomic::AtomicU64, used: u64) {
    counter.fetch_max(used.saturating_add(1), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::fs::tmpfs::{Tmpfs, TmpfsOptions};
    use crate::fs::{NewInode, NewInodeKind, Recursive};
    use crate::testing::TestKernel;

    fn directory(parent: &Path, name: &[u8]) -> Path {
        let new = NewInode { kind: NewInodeKind::Directory, permissions: 0o755, uid: 0, gid: 0 };
        let guard = parent.dentry.lock_directory();
        let inode = parent.inode().create(name, &new).unwrap();
        parent.with_dentry(guard.add(name, inode, &parent.mount.cache)).into_mounted()
    }

    #[test]
    fn mounts_paths_and_descriptors_come_back() {
        let kernel = TestKernel::new();
        let task = kernel.root_task();
        let namespace = task.task.fs().namespace();
        let a = directory(&kernel.root(), b"a");
        let other = Dentry::new_root(Tmpfs::new_root(TmpfsOptions::default()));
        let new = NewMount {
            root: Arc::clone(&other),
            source: "other".to_owned(),
            flags: MountFlags::NO_SUID,
            options: "size=1".to_owned(),
        };
        namespace.mount(new, a.clone()).unwrap();
        let deep = directory(&a.into_mounted(), b"deep");
        let b = directory(&kernel.root(), b"b");
        namespace.bind(&deep, b, Recursive::No).unwrap();

        let first = kernel.root().dentry;
        let is_other =
            |mount: &Arc<Mount>| u64::from(Arc::ptr_eq(&mount.file_system, &other.inode().file_system()));
        let image = MountNamespaceImage::of(&namespace, is_other);
        let cache = Arc::<DentryCache>::default();
        let roots = BTreeMap::from([(0, Arc::clone(&first)), (1, Arc::clone(&other))]);
        let restored = image.clone().restore(&cache, |id| roots.get(&id).cloned()).unwrap();
        assert_eq!(MountNamespaceImage::of(&restored, is_other), image);

        let mounts: BTreeMap<_, _> = restored.mounts().into_iter().map(|mount| (mount.id, mount)).collect();
        let path_of = |image: &PathImage| {
            image.restore(
                |id| {
                    let mount = Arc::clone(mounts.get(&id)?);
                    let root = roots.get(&is_other(&mount)).cloned()?;
                    Some((mount, root))
                },
                |_| None,
            )
        };
        let context = FsContext::new(Arc::clone(&namespace), kernel.root(), deep.clone(), 0o27);
        let context_image = FsContextImage::of(&context, |_| 0);
        let context = context_image.restore(Arc::clone(&restored));
        context.set_root(path_of(&context_image.root).unwrap());
        context.set_cwd(path_of(&context_image.cwd).unwrap());
        assert_eq!(FsContextImage::of(&context, |_| 0), context_image);
        assert_eq!(context.cwd().to_text(&context.root()).text, b"/a/deep");

        #[derive(Debug)]
        struct Nothing;
        impl FileOps for Nothing {}
        let file = Arc::new(OpenFile::new(deep, Box::new(Nothing), OpenFlags::READ_WRITE));
        *file.position() = 77;
        let files = task.task.files().unwrap();
        files.add_from(5, Arc::clone(&file), FdFlags::CLOSE_ON_EXEC, 100).unwrap();
        let (file_image, table_image) = (OpenFileImage::of(&file, |_| 0), FdTableImage::of(&files));
        let file = Arc::new(file_image.restore(path_of(&file_image.path).unwrap(), Box::new(Nothing)));
        assert_eq!(OpenFileImage::of(&file, |_| 0), file_image);
        let table = table_image.restore();
        table_image.fill(&table, |id| (id == file.id()).then(|| Arc::clone(&file))).unwrap();
        assert_eq!(FdTableImage::of(&table), table_image);
        assert_eq!(table_image.fill(&table, |_| None), Err(errno::EINVAL));
    }
}
