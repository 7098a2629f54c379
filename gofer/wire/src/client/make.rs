//! Making directories, symbolic links, nodes and hard links.

use super::Client;
use super::error::ClientError;
use super::fids::Fid;
use super::walk::Found;
use crate::attr::Attr;
use crate::base::link::Tlink;
use crate::base::mkdir::Tmkdir;
use crate::base::mknod::Tmknod;
use crate::base::symlink::Tsymlink;
use crate::ext::make::Tmake;

/// The permission bits and owners of a file to be made. They are taken as they are: the caller has applied the umask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewFile {
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// What to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Make<'a> {
    /// A directory.
    Directory,
    /// A symbolic link that holds these bytes.
    Symlink(&'a [u8]),
    /// A device node, FIFO or socket.
    Node {
        /// The file type bits.
        file_type: u32,
        /// The device's number, encoded as in glibc's `makedev(3)`.
        rdev: u64,
    },
}

impl Client {
    /// Makes a directory (`mkdir(2)`).
    pub fn mkdir(&mut self, dir: Fid, name: &[u8], new: NewFile) -> Result<Found, ClientError> {
        self.make(dir, name, Make::Directory, new)
    }

    /// Makes a symbolic link (`symlink(2)`); the mode of `new` is ignored.
    pub fn symlink(
        &mut self,
        dir: Fid,
        name: &[u8],
        target: &[u8],
        new: NewFile,
    ) -> Result<Found, ClientError> {
        self.make(dir, name, Make::Symlink(target), new)
    }

    /// Makes a device node, FIFO or socket (`mknod(2)`).
    pub fn mknod(
        &mut self,
        dir: Fid,
        name: &[u8],
        file_type: u32,
        rdev: u64,
        new: NewFile,
    ) -> Result<Found, ClientError> {
        self.make(dir, name, Make::Node { file_type, rdev }, new)
    }

    /// Makes a file of any type but a regular one, and gives a fid for it.
    pub fn make(
        &mut self,
        dir: Fid,
        name: &[u8],
        what: Make<'_>,
        new: NewFile,
    ) -> Result<Found, ClientError> {
        if !self.has_extensions {
            self.make_plainly(dir, name, what, new)?;
            let (fid, attr) = self.walk_made(dir, name, new)?;
            return Ok(Found { fid, attr });
        }
        let (file_type, rdev, target): (u32, u64, &[u8]) = match what {
            Make::Directory => (Attr::DIRECTORY, 0, b""),
            Make::Symlink(target) => (Attr::SYMLINK, 0, target),
            Make::Node { file_type, rdev } => (file_type, rdev, b""),
        };
        let fid = self.allocate()?;
        let NewFile { mode, uid, gid } = new;
        let mode = mode & !Attr::TYPE_MASK | file_type;
        let request = Tmake { dfid: dir.0, newfid: fid.0, name, mode, uid, gid, rdev, target };
        let (reply, _) = self.call_for_fid(&request, fid)?;
        Ok(Found { fid, attr: reply.attr })
    }

    fn make_plainly(
        &mut self,
        dir: Fid,
        name: &[u8],
        what: Make<'_>,
        new: NewFile,
    ) -> Result<(), ClientError> {
        let NewFile { mode, gid, .. } = new;
        match what {
            Make::Directory => self.call(&Tmkdir { dfid: dir.0, name, mode, gid }).map(|_| ()),
            Make::Symlink(target) => self.call(&Tsymlink { dfid: dir.0, name, target, gid }).map(|_| ()),
            Make::Node { file_type, rdev } => {
                let (major, minor) = (rustix::fs::major(rdev), rustix::fs::minor(rdev));
                let mode = mode & !Attr::TYPE_MASK | file_type;
                self.call(&Tmknod { dfid: dir.0, name, mode, major, minor, gid }).map(|_| ())
            }
        }
    }

    /// Makes a hard link to `file` (`link(2)`).
    pub fn link(&mut self, dir: Fid, name: &[u8], file: Fid) -> Result<(), ClientError> {
        self.call(&Tlink { dfid: dir.0, fid: file.0, name })?;
        Ok(())
    }
}
