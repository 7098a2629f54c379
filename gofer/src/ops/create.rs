//! `Tlcreate` and `TcreateFd`.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use cloister_9p::Attr;
use cloister_9p::base::lcreate::{Rlcreate, Tlcreate};
use cloister_9p::ext::create_fd::{RcreateFd, TcreateFd};
use rustix::fs::{AtFlags, OFlags, unlinkat};
use rustix::io::Errno;

use super::attr::{Ownership, set_ownership};
use crate::Result;
use crate::fid::{Fid, Open};
use crate::name::Name;
use crate::node::{Node, id};
use crate::session::{Answer, Session};

impl Session {
    /// Creates a file, or opens the one that is there unless `O_EXCL` is given; the directory's fid becomes that file.
    pub(crate) fn lcreate(&mut self, request: &Tlcreate<'_>, answer: &mut Answer<'_>) -> Result<()> {
        self.check_writable()?;
        let name = Name::new(request.name)?;
        let fid = self.fids.get(request.fid)?;
        let flags = OFlags::from_bits_retain(request.flags);
        let ownership = Ownership { uid: fid.uid, gid: Some(request.gid), mode: request.mode };
        let (fd, node, attr) = match create(&fid.node, name, flags, ownership) {
            Err(Errno::EXIST) if !flags.contains(OFlags::EXCL) => {
                let (node, attr) = fid.node.child(name)?;
                if !attr.is_regular() {
                    return Err(Errno::EXIST);
                }
                (node.open(flags)?, node, attr)
            }
            other => other?,
        };
        let fid = self.fids.get_mut(request.fid)?;
        (fid.node, fid.open) = (node, Open::File(fd));
        answer.with(&Rlcreate { qid: self.qid(&attr), iounit: 0 })
    }

    /// Creates a file that must not exist, and hands its descriptor over.
    pub(crate) fn create_fd(&mut self, request: &TcreateFd<'_>, answer: &mut Answer<'_>) -> Result<()> {
        self.check_writable()?;
        let name = Name::new(request.name)?;
        let dir = self.fids.get(request.dfid)?;
        let uid = dir.uid;
        self.check_new_fid(request.newfid)?;
        let ownership = Ownership { uid: Some(request.uid), gid: Some(request.gid), mode: request.mode };
        let flags = OFlags::from_bits_retain(request.flags);
        let (fd, node, attr) = create(&dir.node, name, flags, ownership)?;
        self.fids.insert(request.newfid, Fid::new(node, uid))?;
        answer.with_fd(&RcreateFd { attr }, fd)
    }

    /// Checks that a fid can be given a meaning once the file it is to stand for was made.
    pub(crate) fn check_new_fid(&self, number: u32) -> Result<()> {
        self.fids.check_room(1)?;
        if number == cloister_9p::NO_FID || self.fids.contains(number) { Err(Errno::BADF) } else { Ok(()) }
    }
}

/// Creates a file with exactly these owners and permission bits, or leaves nothing behind.
fn create(
    dir: &Rc<Node>,
    name: Name<'_>,
    flags: OFlags,
    ownership: Ownership,
) -> Result<(OwnedFd, Rc<Node>, Attr)> {
    let fd = dir.create(name, flags, ownership.mode)?;
    let made = finish(dir, name, &fd, ownership);
    if made.is_err() {
        // The first error is the one to tell; the entry may be another's by now.
        let _ = unlinkat(dir.fd(), name.bytes(), AtFlags::empty());
    }
    made.map(|(node, attr)| (fd, node, attr))
}

fn finish(dir: &Rc<Node>, name: Name<'_>, fd: &OwnedFd, ownership: Ownership) -> Result<(Rc<Node>, Attr)> {
    let attr = set_ownership(fd.as_fd(), ownership)?;
    let (node, _) = dir.child(name)?;
    if node.id() == id(&attr) { Ok((node, attr)) } else { Err(Errno::STALE) }
}
