//! File systems, and the inodes that something refers to.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Saver;
use crate::fs::anon::AnonInode;
use crate::fs::devpts::Directory;
use crate::fs::gofer::{GoferFs, GoferFsImage, GoferInode, InUse};
use crate::fs::host::HostInode;
use crate::fs::overlay::{OverlayImage, OverlayInode};
use crate::fs::tmpfs::{Tmpfs, TmpfsImage, TmpfsInode};
use crate::fs::{Dentry, FileKind, FileSystem, Inode, Mount, downcast_inode};
use crate::snapshot::failure::{Result, because, unsupported};
use crate::snapshot::image::{FileSystemImage, InodeImage};

impl Saver<'_> {
    /// Returns the id of a mount's file system, and notes its root.
    pub(super) fn mounted(&self, mount: &Arc<Mount>) -> u64 {
        self.file_system_of(&mount.root)
    }

    /// Returns the id of the file system of a dentry, and notes its root.
    pub(super) fn file_system_of(&self, dentry: &Arc<Dentry>) -> u64 {
        let mut root = Arc::clone(dentry);
        while let Some(parent) = root.parent() {
            root = parent;
        }
        let id = self.file_systems.id(&root.inode().file_system());
        self.roots.borrow_mut().entry(id).or_insert_with(|| Arc::clone(root.inode()));
        id
    }

    /// Gives ids to the terminals that have names.
    pub(super) fn name_terminals(&self) {
        let roots: Vec<_> = self.roots.borrow().values().cloned().collect();
        for directory in roots.iter().filter_map(downcast_inode::<Directory>) {
            directory.to_image(|terminal| self.terminals.id(terminal));
        }
    }

    /// Saves all file systems, and how the inodes are found in them that have ids.
    pub(super) fn file_systems_and_inodes(&self) -> Result<(Vec<FileSystemImage>, Vec<InodeImage>)> {
        for inode in self.inodes.all() {
            if downcast_inode::<AnonInode>(&inode).is_none() && downcast_inode::<HostInode>(&inode).is_none()
            {
                self.file_systems.id(&inode.file_system());
            }
        }
        let mut places = BTreeMap::new();
        let mut images = BTreeMap::new();
        // Overlays give ids to inodes of host files, which come last.
        let mut next = 0;
        while let Some(file_system) = self.file_systems.get(next) {
            if downcast::<GoferFs>(&file_system).is_none() {
                images.insert(next, self.file_system(next, &file_system, &mut places)?);
                for inode in self.inodes.all() {
                    if let Some(inode) = downcast_inode::<GoferInode>(&inode) {
                        let tree: Arc<dyn FileSystem> = Arc::clone(inode.tree()) as Arc<_>;
                        self.file_systems.id(&tree);
                    }
                }
            }
            next += 1;
        }
        for (id, file_system) in self.file_systems.all().iter().enumerate() {
            if let Some(tree) = downcast::<GoferFs>(file_system) {
                images.insert(id, self.host_files(&tree)?);
            }
        }
        let inodes = (0..).zip(self.inodes.all());
        let inodes = inodes.map(|(id, inode)| self.inode(id, &inode, &places)).collect::<Result<_>>()?;
        Ok((images.into_values().collect(), inodes))
    }

    fn inode(&self, id: u64, inode: &Arc<dyn Inode>, places: &BTreeMap<u64, usize>) -> Result<InodeImage> {
        let file_system = || self.file_systems.id(&inode.file_system());
        if downcast_inode::<GoferInode>(inode).is_some() {
            return Ok(InodeImage::Gofer(file_system()));
        }
        if let Some(place) = places.get(&id) {
            return Ok(InodeImage::Overlay(file_system(), *place));
        }
        if let Some(inode) = downcast_inode::<TmpfsInode>(inode) {
            return Ok(InodeImage::Tmpfs(file_system(), inode.number()));
        }
        if downcast_inode::<AnonInode>(inode).is_some() {
            let attributes = inode.attributes().map_err(because(|| "read attributes"))?;
            return Ok(InodeImage::Anonymous(attributes));
        }
        if let Some(given) = downcast_inode::<HostInode>(inode).and_then(|host| host.given_as()) {
            return Ok(InodeImage::Given(given));
        }
        let kind = inode.file_system().type_name();
        Err(unsupported(format_args!("a file of {kind} that was removed while it is open")))
    }

    fn file_system(
        &self,
        id: usize,
        file_system: &Arc<dyn FileSystem>,
        places: &mut BTreeMap<u64, usize>,
    ) -> Result<FileSystemImage> {
        let kind = file_system.type_name();
        let root = self.roots.borrow().get(&(id as u64)).cloned();
        let own: Vec<_> = (0..)
            .zip(self.inodes.all())
            .filter(|(_, inode)| {
                std::ptr::addr_eq(Arc::as_ptr(&inode.file_system()), Arc::as_ptr(file_system))
            })
            .collect();
        if let Some(tmpfs) = downcast::<Tmpfs>(file_system) {
            let root = root.as_ref().and_then(downcast_inode::<TmpfsInode>);
            let number = root.as_ref().map_or(0, |root| root.number());
            let rest = own.iter().filter_map(|(_, inode)| downcast_inode::<TmpfsInode>(inode));
            let image = match root {
                Some(root) if root.kind() == FileKind::Directory => {
                    TmpfsImage::of(&root, &rest.collect::<Vec<_>>())
                }
                // A single file that is mounted, or files that no directory has.
                root => TmpfsImage::of_inodes(&tmpfs, None, rest.chain(root).collect()),
            };
            return Ok(FileSystemImage::Tmpfs(number, image.map_err(because(|| "read files in memory"))?));
        }
        if let Some(root) = root.as_ref().and_then(downcast_inode::<OverlayInode>) {
            let objects: Vec<_> =
                own.iter().filter_map(|(_, inode)| downcast_inode::<OverlayInode>(inode)).collect();
            let (image, found) = OverlayImage::of(&root, &objects, |lower| self.inodes.id(lower))
                .map_err(because(|| "read changed files"))?;
            places.extend(own.iter().map(|(id, _)| *id).zip(found));
            return Ok(FileSystemImage::Overlay(image));
        }
        if let Some(directory) = root.as_ref().and_then(downcast_inode::<Directory>) {
            return Ok(FileSystemImage::Devpts(directory.to_image(|terminal| self.terminals.id(terminal))));
        }
        match kind {
            "proc" => Ok(FileSystemImage::Proc(file_system.device())),
            "sysfs" => Ok(FileSystemImage::Sysfs(file_system.device())),
            "cgroup2" => Ok(FileSystemImage::Cgroup(file_system.device())),
            _ => Err(unsupported(format_args!("a file system of the type {kind}"))),
        }
    }

    /// Saves where host files are found, and makes sure that they are found there.
    fn host_files(&self, tree: &Arc<GoferFs>) -> Result<FileSystemImage> {
        let index = tree.connection_index().ok_or_else(|| unsupported("host files without a connection"))?;
        let used: Vec<InUse> = (0..)
            .zip(self.inodes.all())
            .filter_map(|(id, inode)| Some((id, downcast_inode::<GoferInode>(&inode)?)))
            .filter(|(_, inode)| Arc::ptr_eq(inode.tree(), tree))
            .map(|(id, inode)| InUse { id, names: inode.origin_names(), inode })
            .collect();
        let root = tree.root().map_err(because(|| "find the root of host files"))?;
        let image = GoferFsImage::of(&root, &used).map_err(because(|| "look at host files"))?;
        for InUse { id, inode, names } in &used {
            let found = image.find(*id, &root);
            if !found.is_ok_and(|found| Arc::ptr_eq(&found, inode)) {
                let path: Vec<u8> = names.iter().flat_map(|name| [b"/", &**name].concat()).collect();
                let path = String::from_utf8_lossy(&path);
                return Err(unsupported(format_args!(
                    "the host file `{path}` of the container: it was removed or renamed while it is in use"
                )));
            }
        }
        Ok(FileSystemImage::Gofer(index, image))
    }
}

/// Returns the file system as one of the type `T`, if it is.
fn downcast<T: FileSystem>(file_system: &Arc<dyn FileSystem>) -> Option<Arc<T>> {
    let any: Arc<dyn Any + Send + Sync> = Arc::clone(file_system) as Arc<_>;
    any.downcast().ok()
}
