//! The saved form of host files: how they are found again, and what they must still be.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use cloister_9p::ClientError;
use serde::{Deserialize, Serialize};

use super::attributes::FileId;
use super::{GoferFs, GoferInode, Trust};
use crate::error::Errno;
use crate::fs::{Attributes, FileKind, FileSystem, Inode, reserve_device_number};
use crate::prelude::errno;

/// The saved form of an inode of a host file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GoferInodeImage {
    /// The names below the root by which it is found.
    names: Vec<Box<[u8]>>,
    /// Its device and number on the host.
    id: FileId,
    attributes: Attributes,
}

/// The saved form of a tree of host files: what is in use of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GoferFsImage {
    trust: Trust,
    /// What `stat` tells as `st_dev`.
    device: (u32, u32),
    root: GoferInodeImage,
    /// The inodes in use, by their ids in the snapshot.
    inodes: Vec<(u64, GoferInodeImage)>,
}

/// An inode in use.
#[derive(Clone, Debug)]
pub(crate) struct InUse {
    /// Its id in the snapshot.
    pub(crate) id: u64,
    /// The inode.
    pub(crate) inode: Arc<GoferInode>,
    /// The names below the root by which it is found.
    pub(crate) names: Vec<Box<[u8]>>,
}

/// A tree of host files as it was found again.
#[derive(Debug)]
pub(crate) struct Restored {
    /// Its root.
    pub(crate) root: Arc<GoferInode>,
    /// The inodes in use, by their ids in the snapshot.
    pub(crate) inodes: BTreeMap<u64, Arc<GoferInode>>,
}

impl GoferInodeImage {
    /// Saves an inode that is found by `names`.
    ///
    /// # Errors
    ///
    /// The gofer's, if it has to be asked for the attributes.
    pub(crate) fn of(inode: &GoferInode, names: Vec<Box<[u8]>>) -> Result<Self, Errno> {
        Ok(Self { names, id: inode.id, attributes: inode.attributes()? })
    }

    /// Finds the inode again below `root`.
    ///
    /// # Errors
    ///
    /// `ESTALE` if there is another file or, where nobody else was to change it, it was changed; `ENOENT` if there is
    /// none, and what else the gofer says.
    pub(crate) fn restore(&self, root: &Arc<GoferInode>) -> Result<Arc<GoferInode>, Errno> {
        let mut inode = Arc::clone(root);
        for name in &self.names {
            // A name is one element: what the image says must not lead out of the tree.
            let is_element = !name.is_empty() && !matches!(&**name, b"." | b"..") && !name.contains(&b'/');
            if !is_element || inode.kind != FileKind::Directory {
                return Err(errno::EINVAL);
            }
            inode = inode.find(name)?;
        }
        let now = inode.attributes()?;
        let is_same = inode.id == self.id && now.kind == self.attributes.kind;
        let is_unchanged = now.kind != FileKind::Regular
            || (now.size, now.modified) == (self.attributes.size, self.attributes.modified);
        let may_change = inode.file_system.trust() == Trust::Shared;
        if is_same && (is_unchanged || may_change) { Ok(inode) } else { Err(errno::ESTALE) }
    }
}

impl GoferFsImage {
    /// Saves what is in use of the tree with this root.
    ///
    /// # Errors
    ///
    /// As [`GoferInodeImage::of`].
    pub(crate) fn of(root: &Arc<GoferInode>, inodes: &[InUse]) -> Result<Self, Errno> {
        let image = |used: &InUse| Ok((used.id, GoferInodeImage::of(&used.inode, used.names.clone())?));
        Ok(Self {
            trust: root.file_system.trust(),
            device: root.file_system.device(),
            root: GoferInodeImage::of(root, Vec::new())?,
            inodes: inodes.iter().map(image).collect::<Result<_, Errno>>()?,
        })
    }

    /// Finds the inode again that has this id, below `root`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is none, and as [`GoferInodeImage::restore`].
    pub(crate) fn find(&self, id: u64, root: &Arc<GoferInode>) -> Result<Arc<GoferInode>, Errno> {
        let image = self.inodes.iter().find(|(own, _)| *own == id).map(|(_, image)| image);
        image.ok_or(errno::EINVAL)?.restore(root)
    }

    /// Attaches to the gofer at the other end of `socket`, which serves the same tree.
    ///
    /// # Errors
    ///
    /// As [`GoferFs::connect`].
    pub(crate) fn connect(&self, socket: OwnedFd) -> Result<Arc<GoferFs>, ClientError> {
        reserve_device_number(self.device);
        GoferFs::connect_as(socket, self.trust, self.device)
    }

    /// Finds the root and the inodes again in what [`GoferFsImage::connect`] has returned.
    ///
    /// # Errors
    ///
    /// As [`GoferInodeImage::restore`].
    pub(crate) fn restore(&self, file_system: &Arc<GoferFs>) -> Result<Restored, Errno> {
        let root = self.root.restore(&file_system.root()?)?;
        let find = |(id, image): &(u64, GoferInodeImage)| Ok((*id, image.restore(&root)?));
        let inodes = self.inodes.iter().map(find).collect::<Result<_, Errno>>()?;
        Ok(Restored { root, inodes })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::{Fixture, serve};
    use super::*;
    use crate::testing::saved;

    #[test]
    fn files_are_found_again_behind_another_gofer() {
        let fixture = Fixture::new(Trust::Exclusive);
        fs::create_dir(fixture.path("d")).unwrap();
        fs::write(fixture.path("d/file"), "contents").unwrap();
        fs::write(fixture.path("other"), "contents").unwrap();
        let directory = fixture.root.find(b"d").unwrap();
        let file = directory.find(b"file").unwrap();
        let names = |names: &[&[u8]]| names.iter().map(|name| (*name).into()).collect::<Vec<Box<[u8]>>>();
        let inodes = [
            InUse { id: 7, inode: directory, names: names(&[b"d"]) },
            InUse { id: 9, inode: Arc::clone(&file), names: names(&[b"d", b"file"]) },
        ];
        let image = saved(&GoferFsImage::of(&fixture.root, &inodes).unwrap());

        let (connection, server) = serve(&fixture.path(""));
        let again = image.connect(connection).unwrap();
        assert_eq!((again.device(), again.trust()), (fixture.root.file_system.device(), Trust::Exclusive));
        let Restored { root, inodes } = image.restore(&again).unwrap();
        assert_eq!(root.id, fixture.root.id);
        assert_eq!(inodes.keys().copied().collect::<Vec<_>>(), [7, 9]);
        assert_eq!(inodes[&9].attributes(), file.attributes());

        let restore = |change: &dyn Fn(&mut GoferInodeImage)| {
            let mut image = image.inodes[1].1.clone();
            change(&mut image);
            image.restore(&root).map(drop)
        };
        assert_eq!(restore(&|_| {}), Ok(()));
        assert_eq!(restore(&|image| image.names = names(&[b"other"])), Err(errno::ESTALE));
        assert_eq!(restore(&|image| image.names = names(&[b"d"])), Err(errno::ESTALE));
        assert_eq!(restore(&|image| image.names = names(&[b"none"])), Err(errno::ENOENT));
        assert_eq!(restore(&|image| image.names = names(&[b"d", b".."])), Err(errno::EINVAL));
        assert_eq!(restore(&|image| image.names = names(&[b"d/file"])), Err(errno::EINVAL));
        assert_eq!(restore(&|image| image.attributes.size += 1), Err(errno::ESTALE), "somebody changed it");
        again.disconnect();
        server.join().unwrap();
    }
}
