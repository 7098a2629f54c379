//! `Twalk`, `TwalkAttr` and `Treadlink`.

use std::rc::Rc;

use cloister_9p::base::readlink::{Rreadlink, Treadlink};
use cloister_9p::base::walk::{Rwalk, Twalk};
use cloister_9p::codec::List;
use cloister_9p::ext::walk_attr::{NO_OPEN, RwalkAttr, TwalkAttr};
use cloister_9p::{Attr, NO_FID};
use rustix::fs::readlinkat;
use rustix::io::Errno;

use crate::Result;
use crate::fid::{Fid, Open};
use crate::name::Name;
use crate::node::Node;
use crate::session::{Answer, Session};

impl Session {
    /// Walks as the standard says: an error for the first name fails, for a later one it shortens the answer.
    pub(crate) fn walk(&mut self, request: &Twalk<'_>, answer: &mut Answer<'_>) -> Result<()> {
        let start = self.fids.get(request.fid)?;
        let uid = start.uid;
        let mut node = Rc::clone(&start.node);
        if request.newfid != request.fid && self.fids.contains(request.newfid) {
            return Err(Errno::BADF);
        }
        let mut qids = Vec::with_capacity(request.names.0.len());
        for &name in &request.names.0 {
            let (next, attr) = match step(&node, name) {
                Ok(found) => found,
                Err(errno) if qids.is_empty() => return Err(errno),
                Err(_) => return answer.with(&Rwalk { qids: List(qids) }),
            };
            qids.push(self.qid(&attr));
            node = next;
        }
        if request.newfid == request.fid {
            let fid = self.fids.get_mut(request.fid)?;
            (fid.node, fid.open) = (node, Open::Nothing);
        } else {
            self.fids.insert(request.newfid, Fid::new(node, uid))?;
        }
        answer.with(&Rwalk { qids: List(qids) })
    }

    /// Walks, makes a fid of every element, answers with their attributes, and opens the last if asked to.
    pub(crate) fn walk_attr(&mut self, request: &TwalkAttr<'_>, answer: &mut Answer<'_>) -> Result<()> {
        let steps = &request.steps.0;
        let start = self.fids.get(request.fid)?;
        let uid = start.uid;
        let mut node = Rc::clone(&start.node);
        self.check_new_fids(request)?;

        let mut reached: Vec<(Rc<Node>, Attr)> = Vec::with_capacity(steps.len());
        let mut error = None;
        for step in steps {
            match Name::new(step.name).and_then(|name| node.child(name)) {
                Ok(found) => {
                    node = Rc::clone(&found.0);
                    reached.push(found);
                }
                // What "no directory" means for a symbolic link is that the client must follow it.
                Err(Errno::NOTDIR) if node.kind().is_symlink() => error = Some(Errno::LOOP),
                Err(errno) => error = Some(errno),
            }
            if error.is_some() {
                break;
            }
        }
        let target = match reached.last() {
            Some((last, attr)) if attr.is_symlink() => readlinkat(last.fd(), c"", Vec::new())?.into_bytes(),
            _ => Vec::new(),
        };
        let opened = if error.is_none() { self.open_end(&node, request.open_flags) } else { None };
        let (open_errno, fd) = match opened {
            None => (NO_OPEN, None),
            Some(Ok(fd)) => (0, Some(fd)),
            Some(Err(errno)) => (errno.raw_os_error().cast_unsigned(), None),
        };
        let reply = RwalkAttr {
            errno: error.map_or(0, |errno| errno.raw_os_error().cast_unsigned()),
            target: &target,
            open_errno,
            attrs: List(reached.iter().map(|(_, attr)| *attr).collect()),
        };
        match fd {
            Some(fd) => answer.with_fd(&reply, fd)?,
            None => answer.with(&reply)?,
        }
        for (step, (node, _)) in steps.iter().zip(reached) {
            if step.fid != NO_FID {
                self.fids.insert(step.fid, Fid::new(node, uid))?;
            }
        }
        Ok(())
    }

    /// Checks before the walk that its new fids can be given their meaning after it.
    fn check_new_fids(&self, request: &TwalkAttr<'_>) -> Result<()> {
        let steps = &request.steps.0;
        self.fids.check_room(steps.len())?;
        for (index, step) in steps.iter().enumerate() {
            let is_twice = steps.iter().take(index).any(|earlier| earlier.fid == step.fid);
            if step.fid != NO_FID && (is_twice || self.fids.contains(step.fid)) {
                return Err(Errno::BADF);
            }
        }
        Ok(())
    }

    /// What a symbolic link holds.
    pub(crate) fn readlink(&mut self, request: &Treadlink, answer: &mut Answer<'_>) -> Result<()> {
        let node = self.fids.node(request.fid)?;
        if !node.kind().is_symlink() {
            return Err(Errno::INVAL);
        }
        let target = readlinkat(node.fd(), c"", Vec::new())?;
        answer.with(&Rreadlink { target: target.as_bytes() })
    }
}

/// One step of a standard walk, which may go up but not out of the tree.
fn step(node: &Rc<Node>, raw_name: &[u8]) -> Result<(Rc<Node>, Attr)> {
    let next = match raw_name {
        b"." | b".." if !node.is_dir() => return Err(Errno::NOTDIR),
        b"." => Rc::clone(node),
        b".." => node.parent(),
        name => return node.child(Name::new(name)?),
    };
    let attr = next.attr()?;
    Ok((next, attr))
}
