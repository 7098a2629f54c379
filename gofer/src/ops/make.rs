//! `Tmkdir`, `Tsymlink`, `Tmknod`, `Tlink` and `Tmake`.

use std::rc::Rc;

use cloister_9p::Attr;
use cloister_9p::base::link::{Rlink, Tlink};
use cloister_9p::base::mkdir::{Rmkdir, Tmkdir};
use cloister_9p::base::mknod::{Rmknod, Tmknod};
use cloister_9p::base::symlink::{Rsymlink, Tsymlink};
use cloister_9p::ext::make::{Rmake, Tmake};
use rustix::fs::{AtFlags, FileType, Mode, linkat, makedev, mkdirat, mknodat, symlinkat, unlinkat};
use rustix::io::Errno;

use super::attr::{Ownership, set_ownership};
use crate::Result;
use crate::fid::Fid;
use crate::name::Name;
use crate::node::Node;
use crate::session::{Answer, Session};

/// What to make.
enum Kind<'a> {
    Directory,
    Symlink(&'a [u8]),
    Node(FileType, u64),
}

impl<'a> Kind<'a> {
    /// What file type bits ask for.
    ///
    /// # Errors
    ///
    /// `EPERM` for a device: a node on the host that stands for the host's hardware would be there for others to open.
    /// The exception is the device 0:0, which stands for nothing but an overlay's whiteout.
    fn new(mode: u32, rdev: u64, target: &'a [u8]) -> Result<Self> {
        match FileType::from_raw_mode(mode) {
            FileType::Directory => Ok(Self::Directory),
            FileType::Symlink => Ok(Self::Symlink(target)),
            kind @ (FileType::RegularFile | FileType::Fifo | FileType::Socket) => Ok(Self::Node(kind, 0)),
            kind @ FileType::CharacterDevice if rdev == 0 => Ok(Self::Node(kind, 0)),
            FileType::CharacterDevice | FileType::BlockDevice => Err(Errno::PERM),
            FileType::Unknown => Err(Errno::INVAL),
        }
    }
}

impl Session {
    /// Makes a directory.
    pub(crate) fn mkdir(&mut self, request: &Tmkdir<'_>, answer: &mut Answer<'_>) -> Result<()> {
        let &Tmkdir { dfid, name, mode, gid } = request;
        let attr = self.make_plainly(dfid, name, &Kind::Directory, gid, mode)?;
        answer.with(&Rmkdir { qid: self.qid(&attr) })
    }

    /// Makes a symbolic link.
    pub(crate) fn symlink(&mut self, request: &Tsymlink<'_>, answer: &mut Answer<'_>) -> Result<()> {
        let &Tsymlink { dfid, name, target, gid } = request;
        let attr = self.make_plainly(dfid, name, &Kind::Symlink(target), gid, 0o777)?;
        answer.with(&Rsymlink { qid: self.qid(&attr) })
    }

    /// Makes a FIFO, a socket, an empty file or a whiteout.
    pub(crate) fn mknod(&mut self, request: &Tmknod<'_>, answer: &mut Answer<'_>) -> Result<()> {
        let &Tmknod { dfid, name, mode, major, minor, gid } = request;
        let kind = Kind::new(mode, makedev(major, minor), b"")?;
        if !matches!(kind, Kind::Node(..)) {
            return Err(Errno::INVAL);
        }
        let attr = self.make_plainly(dfid, name, &kind, gid, mode)?;
        answer.with(&Rmknod { qid: self.qid(&attr) })
    }

    /// Makes a file of any type that can be made, and gives a fid for it.
    pub(crate) fn make(&mut self, request: &Tmake<'_>, answer: &mut Answer<'_>) -> Result<()> {
        let kind = Kind::new(request.mode, request.rdev, request.target)?;
        self.check_new_fid(request.newfid)?;
        let uid = self.fids.get(request.dfid)?.uid;
        let ownership = Ownership { uid: Some(request.uid), gid: Some(request.gid), mode: request.mode };
        let (node, attr) = self.make_entry(request.dfid, request.name, &kind, ownership)?;
        self.fids.insert(request.newfid, Fid::new(node, uid))?;
        answer.with(&Rmake { attr })
    }

    /// Makes a hard link.
    pub(crate) fn link(&mut self, request: &Tlink<'_>, answer: &mut Answer<'_>) -> Result<()> {
        self.check_writable()?;
        let name = Name::new(request.name)?;
        let (dir, file) = (self.fids.node(request.dfid)?, self.fids.node(request.fid)?);
        linkat(file.fd(), c"", dir.fd(), name.bytes(), AtFlags::EMPTY_PATH)?;
        answer.with(&Rlink {})
    }

    fn make_plainly(&self, dfid: u32, name: &[u8], kind: &Kind<'_>, gid: u32, mode: u32) -> Result<Attr> {
        let ownership = Ownership { uid: self.fids.get(dfid)?.uid, gid: Some(gid), mode };
        self.make_entry(dfid, name, kind, ownership).map(|(_, attr)| attr)
    }

    /// Makes a file with exactly these owners and permission bits, or leaves nothing behind.
    fn make_entry(
        &self,
        dfid: u32,
        raw_name: &[u8],
        kind: &Kind<'_>,
        ownership: Ownership,
    ) -> Result<(Rc<Node>, Attr)> {
        self.check_writable()?;
        let name = Name::new(raw_name)?;
        let dir = self.fids.node(dfid)?;
        let mode = Mode::from_raw_mode(ownership.mode & 0o7777);
        match *kind {
            Kind::Directory => mkdirat(dir.fd(), name.bytes(), mode)?,
            Kind::Symlink(target) => symlinkat(target, dir.fd(), name.bytes())?,
            Kind::Node(file_type, rdev) => mknodat(dir.fd(), name.bytes(), file_type, mode, rdev)?,
        }
        let made = dir.child(name).and_then(|(node, _)| {
            let attr = set_ownership(node.fd(), ownership)?;
            Ok((node, attr))
        });
        if made.is_err() {
            let flags = if matches!(kind, Kind::Directory) { AtFlags::REMOVEDIR } else { AtFlags::empty() };
            // The first error is the one to tell; the entry may be another's by now.
            let _ = unlinkat(dir.fd(), name.bytes(), flags);
        }
        made
    }
}
