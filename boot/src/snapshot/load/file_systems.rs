//! File systems, inodes, terminals and mounts.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use cloister_proto::container::Limits;

use super::{Found, Loader};
use crate::fs::devpts::{DevptsImage, Directory};
use crate::fs::gofer::GoferInode;
use crate::fs::host::{HostStream, open_stdio};
use crate::fs::tmpfs::TmpfsInode;
use crate::fs::{Dentry, Inode, MountNamespaceImage, OpenFlags, cgroup, proc, reserve_device_number, sys};
use crate::prelude::errno;
use crate::snapshot::failure::{Result, because, damaged, failed};
use crate::snapshot::image::{FileSystemImage, InodeImage, TerminalImage};
use crate::snapshot::registry::find;
use crate::tty::{Pty, Terminal};

/// What inodes are found in.
#[derive(Default)]
struct Inodes {
    /// By their ids in the snapshot.
    gofer: BTreeMap<u64, Arc<GoferInode>>,
    /// By file system and place.
    overlay: BTreeMap<(u64, usize), Arc<dyn Inode>>,
    /// By file system and number.
    tmpfs: BTreeMap<(u64, u64), Arc<TmpfsInode>>,
}

impl Loader<'_> {
    /// Makes files of what the container is given.
    pub(super) fn take_given(&mut self, files: Vec<OwnedFd>) -> Result<()> {
        for (number, file) in (0..).zip(files) {
            let file = open_stdio(self.kernel, file, Some(number), OpenFlags::empty())
                .map_err(because(|| format!("use the descriptor given as {number}")))?;
            self.given.push(file);
        }
        Ok(())
    }

    /// Brings file systems back, and finds inodes and terminals in them.
    pub(super) fn file_systems(
        &mut self,
        images: Vec<FileSystemImage>,
        gofers: Vec<OwnedFd>,
        inodes: &[InodeImage],
        terminals: &[TerminalImage],
        limits: Limits,
    ) -> Result<()> {
        let mut found = Inodes::default();
        self.roots = vec![None; images.len()];
        let mut gofers: Vec<Option<OwnedFd>> = gofers.into_iter().map(Some).collect();
        // Overlays are above host files.
        let (lower, upper): (Vec<_>, Vec<_>) =
            (0_u64..).zip(images).partition(|(_, image)| matches!(image, FileSystemImage::Gofer(..)));
        let mut devpts = Vec::new();
        for (id, image) in lower.into_iter().chain(upper) {
            let root = match image {
                FileSystemImage::Gofer(index, image) => {
                    let gofer =
                        usize::try_from(index).ok().and_then(|at| gofers.get_mut(at)).and_then(Option::take);
                    let gofer = gofer.ok_or_else(|| damaged("a connection to the gofer is missing"))?;
                    let tree = image.connect(gofer).map_err(|error| {
                        tracing::error!(%error, "a gofer does not serve");
                        failed("connect to the gofer", errno::EIO)
                    })?;
                    tree.set_connection_index(index);
                    let restored = image
                        .restore(&tree)
                        .map_err(because(|| "find the files of the host that are in use as they were"))?;
                    found.gofer.extend(restored.inodes);
                    Some(Dentry::new_root(restored.root))
                }
                FileSystemImage::Overlay(image) => {
                    let lower_of = |id| found.gofer.get(&id).map(|inode| Arc::clone(inode) as Arc<dyn Inode>);
                    let objects = image.restore(lower_of).map_err(because(|| "bring changed files back"))?;
                    let root = objects.first().cloned().ok_or_else(|| damaged("an overlay has no root"))?;
                    for (place, object) in objects.into_iter().enumerate() {
                        found.overlay.insert((id, place), object);
                    }
                    Some(Dentry::new_root(root))
                }
                FileSystemImage::Tmpfs(number, image) => {
                    let restored = image.restore().map_err(because(|| "bring files in memory back"))?;
                    let root = restored.root.or_else(|| restored.inodes.get(&number).cloned());
                    found
                        .tmpfs
                        .extend(restored.inodes.into_iter().map(|(number, inode)| ((id, number), inode)));
                    root.map(|root| Dentry::new_root(root))
                }
                FileSystemImage::Devpts(image) => {
                    let directory = Directory::from_image(&image);
                    devpts.push((id, Arc::clone(&directory), image));
                    Some(Dentry::new_root(directory))
                }
                FileSystemImage::Proc(device) => {
                    reserve_device_number(device);
                    Some(proc::new_tree(self.kernel, self.task_set.pid_namespace, device))
                }
                FileSystemImage::Cgroup(device) => {
                    reserve_device_number(device);
                    let (tasks, usage) = (Arc::clone(&self.task_set), Arc::clone(&self.usage));
                    Some(cgroup::new_tree(self.kernel, tasks, device, limits, usage))
                }
                FileSystemImage::Sysfs(device) => {
                    reserve_device_number(device);
                    Some(sys::new_tree(self.kernel, device))
                }
            };
            if let Some(slot) = usize::try_from(id).ok().and_then(|at| self.roots.get_mut(at)) {
                *slot = root;
            }
        }
        self.terminals =
            terminals.iter().map(|image| self.terminal(image, &devpts)).collect::<Result<_>>()?;
        for (_, directory, image) in devpts {
            self.name_terminals(&directory, image)?;
        }
        self.inodes = inodes
            .iter()
            .enumerate()
            .map(|(id, image)| self.find_inode(id as u64, image, &found))
            .collect::<Result<_>>()?;
        Ok(())
    }

    fn find_inode(&self, id: u64, image: &InodeImage, found: &Inodes) -> Result<Found> {
        let inode = match image {
            InodeImage::Gofer(_) => found.gofer.get(&id).map(|inode| Arc::clone(inode) as Arc<dyn Inode>),
            InodeImage::Overlay(file_system, place) => found.overlay.get(&(*file_system, *place)).cloned(),
            InodeImage::Tmpfs(file_system, number) => {
                found.tmpfs.get(&(*file_system, *number)).map(|inode| Arc::clone(inode) as Arc<dyn Inode>)
            }
            InodeImage::Anonymous(attributes) => {
                let restored = self.kernel.anon_files.restore_inode(*attributes);
                let (mount, inode) = restored.map_err(|_| damaged("a file without a name"))?;
                return Ok(Found { inode, mount: Some(mount) });
            }
            InodeImage::Given(number) => {
                let path = self.given(*number)?.path();
                return Ok(Found { inode: Arc::clone(path.inode()), mount: Some(Arc::clone(&path.mount)) });
            }
        };
        Ok(Found { inode: inode.ok_or_else(|| damaged("an inode is missing"))?, mount: None })
    }

    fn terminal(
        &self,
        image: &TerminalImage,
        devpts: &[(u64, Arc<Directory>, DevptsImage)],
    ) -> Result<Arc<dyn Terminal>> {
        match image {
            TerminalImage::Pty(id, image) => {
                let directory = devpts.iter().find(|(own, ..)| own == id).map(|(_, directory, _)| directory);
                let directory = directory.ok_or_else(|| damaged("a terminal has no devpts"))?;
                Ok(Arc::new(Pty::from_image(image.clone(), self.kernel, Arc::downgrade(directory))))
            }
            TerminalImage::Given(number) => {
                let file = self.given(*number)?;
                let terminal = file.ops_as::<HostStream>().and_then(|stream| stream.terminal().cloned());
                let terminal = terminal.ok_or_else(|| {
                    failed(format_args!("descriptor {number} was a terminal, and is none now"), errno::ENOTTY)
                })?;
                Ok(terminal)
            }
        }
    }

    fn name_terminals(&self, directory: &Directory, image: DevptsImage) -> Result<()> {
        for (index, terminal, attributes) in image.names {
            let terminal = find(&self.terminals, terminal).ok_or_else(|| damaged("a terminal is missing"))?;
            if let Some(host) = crate::snapshot::downcast_terminal::<crate::fs::host::Terminal>(&terminal) {
                host.set_index(index);
            }
            directory
                .restore(index, &terminal, attributes)
                .map_err(|_| damaged("two terminals have one name"))?;
        }
        Ok(())
    }

    /// Brings mounts back.
    pub(super) fn namespaces(&mut self, images: Vec<MountNamespaceImage>) -> Result<()> {
        for image in images {
            let cache = &self.kernel.vfs.cache;
            let root_of = |id| find(&self.roots, id).flatten();
            let namespace = image.restore(cache, root_of).map_err(because(|| "bring mounts back"))?;
            for mount in namespace.mounts() {
                let mut root = Arc::clone(&mount.root);
                while let Some(parent) = root.parent() {
                    root = parent;
                }
                self.mounts.insert(mount.id, (mount, root));
            }
            self.namespaces.push(namespace);
        }
        Ok(())
    }
}
