//! The saved form of a tmpfs: every inode by its number, with its contents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::data::{Data, DataImage};
use super::directory::{Entries, EntriesImage};
use super::inode::TmpfsInode;
use super::state::{Body, State};
use super::xattrs::Xattrs;
use super::{Tmpfs, TmpfsOptions};
use cloister_sync::Lock;

use crate::error::Errno;
use crate::fs::{Anchors, Attributes, FileKind, FileSystem, reserve_device_number};
use crate::prelude::errno;

/// The saved form of a tmpfs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TmpfsImage {
    device: (u32, u32),
    options: TmpfsOptions,
    next_inode: u64,
    /// The upper layer of an overlay has none: it holds inodes without names.
    root: Option<u64>,
    inodes: Vec<InodeImage>,
}

/// The saved form of an inode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct InodeImage {
    attributes: Attributes,
    xattrs: Xattrs,
    body: BodyImage,
    is_linkable: bool,
}

/// The saved form of what an inode is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum BodyImage {
    File(DataImage),
    Directory(EntriesImage),
    Symlink(Box<[u8]>),
    Special,
}

/// A tmpfs as it was brought back.
#[derive(Debug)]
pub(crate) struct Restored {
    /// The file system.
    pub(crate) file_system: Arc<Tmpfs>,
    /// Its root.
    pub(crate) root: Option<Arc<TmpfsInode>>,
    /// All inodes by their numbers, so that open files without names find theirs.
    pub(crate) inodes: BTreeMap<u64, Arc<TmpfsInode>>,
}

impl TmpfsImage {
    /// Saves the tree below `root`, the root of its file system, and `unnamed`: inodes that only descriptors refer to.
    ///
    /// # Errors
    ///
    /// The host's, if the contents of a file can't be read.
    pub(crate) fn of(root: &Arc<TmpfsInode>, unnamed: &[Arc<TmpfsInode>]) -> Result<Self, Errno> {
        let mut inodes = unnamed.to_vec();
        inodes.push(Arc::clone(root));
        Self::of_inodes(root.tmpfs(), Some(root.number()), inodes)
    }

    /// Saves `rest` and the trees below, of a file system whose root is the inode `root`.
    ///
    /// # Errors
    ///
    /// As [`TmpfsImage::of`].
    pub(crate) fn of_inodes(
        file_system: &Tmpfs,
        root: Option<u64>,
        mut rest: Vec<Arc<TmpfsInode>>,
    ) -> Result<Self, Errno> {
        let mut images = BTreeMap::new();
        // A loop in place of the recursion: the guest decides how deep its directories are.
        while let Some(inode) = rest.pop() {
            if images.contains_key(&inode.number()) {
                continue;
            }
            let (image, children) = inode.to_image()?;
            images.insert(inode.number(), image);
            rest.extend(children);
        }
        Ok(Self {
            device: file_system.device(),
            options: file_system.options(),
            next_inode: file_system.next_inode(),
            root,
            inodes: images.into_values().collect(),
        })
    }

    /// Brings the file system back.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the image contradicts itself, or the host's.
    pub(crate) fn restore(self) -> Result<Restored, Errno> {
        reserve_device_number(self.device);
        let file_system = Tmpfs::with_next_inode(self.device, self.options, self.next_inode);
        let mut inodes = BTreeMap::new();
        let mut directories = Vec::new();
        for image in self.inodes {
            let (inode, entries) = TmpfsInode::from_image(&file_system, image)?;
            directories.extend(entries.map(|entries| (Arc::clone(&inode), entries)));
            inodes.insert(inode.number(), inode);
        }
        let mut has_parent: BTreeSet<_> = self.root.into_iter().collect();
        for (directory, entries) in directories {
            directory.restore_entries(entries, |number| {
                let child: &Arc<TmpfsInode> = inodes.get(&number)?;
                // A directory with two names, or one that holds the root, would be a circle.
                (!child.is_directory() || has_parent.insert(number)).then(|| Arc::clone(child))
            })?;
        }
        let root = match self.root {
            Some(root) => {
                let root = inodes.get(&root).filter(|root| root.is_directory()).cloned();
                Some(root.ok_or(errno::EINVAL)?)
            }
            None => None,
        };
        Ok(Restored { file_system, root, inodes })
    }
}

impl TmpfsInode {
    /// Returns its saved form, and the children of a directory.
    fn to_image(&self) -> Result<(InodeImage, Vec<Arc<Self>>), Errno> {
        let state = self.state.lock();
        let mut children = Vec::new();
        let body = match &state.body {
            Body::File(data) => BodyImage::File(data.to_image()?),
            Body::Directory(entries) => {
                children.extend(entries.iter().map(|(_, child)| Arc::clone(child)));
                BodyImage::Directory(entries.to_image())
            }
            Body::Symlink(target) => BodyImage::Symlink(target.clone()),
            Body::Special => BodyImage::Special,
        };
        let xattrs = state.xattrs.clone();
        let image = InodeImage { attributes: state.attributes, xattrs, body, is_linkable: state.is_linkable };
        Ok((image, children))
    }

    /// Brings an inode back; the entries of a directory are returned, to be put in once all inodes are there.
    fn from_image(
        file_system: &Arc<Tmpfs>,
        image: InodeImage,
    ) -> Result<(Arc<Self>, Option<EntriesImage>), Errno> {
        let kind = image.attributes.kind;
        let mut entries = None;
        let body = match (image.body, kind) {
            (BodyImage::File(data), FileKind::Regular) => Body::File(Data::from_image(data)?),
            (BodyImage::Directory(image), FileKind::Directory) => {
                entries = Some(image);
                Body::Directory(Entries::default())
            }
            (BodyImage::Symlink(target), FileKind::Symlink) => Body::Symlink(target),
            (
                BodyImage::Special,
                FileKind::CharDevice | FileKind::BlockDevice | FileKind::Fifo | FileKind::Socket,
            ) => Body::Special,
            _ => return Err(errno::EINVAL),
        };
        let (attributes, xattrs, is_linkable) = (image.attributes, image.xattrs, image.is_linkable);
        let mut state = State { attributes, xattrs, body, charged: 0, is_linkable };
        file_system.add_numbered_inode();
        state.charge(file_system);
        let inode = Arc::new(Self {
            file_system: Arc::clone(file_system),
            number: attributes.inode,
            kind,
            state: Lock::new(state),
            anchors: Anchors::default(),
        });
        Ok((inode, entries))
    }

    /// Puts the entries of a directory in that was brought back.
    fn restore_entries(
        &self,
        image: EntriesImage,
        inode_of: impl FnMut(u64) -> Option<Arc<Self>>,
    ) -> Result<(), Errno> {
        let entries = Entries::from_image(image, inode_of)?;
        self.state.lock().body = Body::Directory(entries);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{AttributeChange, Inode, NewInode, NewInodeKind, XattrMode};

    fn make(directory: &Arc<TmpfsInode>, name: &[u8], kind: NewInodeKind) -> Arc<TmpfsInode> {
        let new = NewInode { kind, permissions: 0o640, uid: 5, gid: 6 };
        directory.create(name, &new).unwrap();
        directory.child(name).unwrap()
    }

    #[test]
    fn a_tree_comes_back_as_it_was() {
        let root = Tmpfs::new_root(TmpfsOptions { size: 1 << 30, ..TmpfsOptions::default() });
        let directory = make(&root, b"d", NewInodeKind::Directory);
        let file = make(&directory, b"small", NewInodeKind::Regular);
        file.write(Some(0), &mut &b"contents"[..]).unwrap();
        file.set_xattr(b"user.a", b"value", XattrMode::Any).unwrap();
        root.link(b"again", &(Arc::clone(&file) as Arc<dyn Inode>)).unwrap();
        let sparse = make(&directory, b"sparse", NewInodeKind::Regular);
        sparse.write(Some(10 << 20), &mut &b"far"[..]).unwrap();
        make(&directory, b"gone", NewInodeKind::Fifo);
        make(&root, b"link", NewInodeKind::Symlink(b"d/small".to_vec()));
        make(&root, b"null", NewInodeKind::CharDevice(1, 3));
        directory.unlink(b"gone", &(Arc::clone(&file) as Arc<dyn Inode>)).unwrap();
        let open = make(&root, b"open", NewInodeKind::Regular);
        root.unlink(b"open", &(Arc::clone(&open) as Arc<dyn Inode>)).unwrap();

        let image = TmpfsImage::of(&root, std::slice::from_ref(&open)).unwrap();
        let restored = image.clone().restore().unwrap();
        let root = restored.root.clone().unwrap();
        assert_eq!(TmpfsImage::of(&root, &[restored.inodes[&open.number()].clone()]), Ok(image));
        let small = root.child(b"d").unwrap().child(b"small").unwrap();
        assert!(Arc::ptr_eq(&small, &root.child(b"again").unwrap()));
        assert_eq!(small.attributes(), file.attributes());
        let far = root.child(b"d").unwrap().child(b"sparse").unwrap().attributes().unwrap();
        assert_eq!((far.size, far.blocks), ((10 << 20) + 3, 8));
        small.set_attributes(&AttributeChange::default()).unwrap();
    }

    #[test]
    fn contradictions_are_refused() {
        let root = Tmpfs::new_root(TmpfsOptions::default());
        make(&root, b"d", NewInodeKind::Directory);
        let good = TmpfsImage::of(&root, &[]).unwrap();
        let without_child = TmpfsImage { inodes: good.inodes[..1].to_vec(), ..good.clone() };
        assert_eq!(without_child.restore().map(drop), Err(errno::EINVAL));
        let without_root = TmpfsImage { root: Some(99), ..good };
        assert_eq!(without_root.restore().map(drop), Err(errno::EINVAL));
    }
}
