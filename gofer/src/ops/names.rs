//! `Tunlinkat`, `Trenameat`, `Trename2` and `Trename`.

use std::rc::Rc;

use cloister_9p::base::rename::{Rrename, Trename};
use cloister_9p::base::renameat::{Rrenameat, Trenameat};
use cloister_9p::base::unlinkat::{Runlinkat, Tunlinkat};
use cloister_9p::ext::rename2::{Rrename2, Trename2};
use rustix::fs::{AtFlags, RenameFlags, renameat_with, unlinkat};
use rustix::io::Errno;

use crate::Result;
use crate::name::Name;
use crate::node::Node;
use crate::session::{Answer, Session};

impl Session {
    /// Removes an entry.
    pub(crate) fn unlinkat(&mut self, request: &Tunlinkat<'_>, answer: &mut Answer<'_>) -> Result<()> {
        self.check_writable()?;
        let flags = AtFlags::from_bits_retain(request.flags);
        if !AtFlags::REMOVEDIR.contains(flags) {
            return Err(Errno::INVAL);
        }
        unlinkat(self.fids.node(request.dirfid)?.fd(), Name::new(request.name)?.bytes(), flags)?;
        answer.with(&Runlinkat {})
    }

    /// Renames an entry.
    pub(crate) fn renameat(&mut self, request: &Trenameat<'_>, answer: &mut Answer<'_>) -> Result<()> {
        let (old, new) = (self.node(request.olddirfid)?, self.node(request.newdirfid)?);
        let (old_name, new_name) = (Name::new(request.oldname)?, Name::new(request.newname)?);
        self.rename_entry((&old, old_name), (&new, new_name), RenameFlags::empty())?;
        answer.with(&Rrenameat {})
    }

    /// Renames an entry, or exchanges two.
    pub(crate) fn rename2(&mut self, request: &Trename2<'_>, answer: &mut Answer<'_>) -> Result<()> {
        let flags = RenameFlags::from_bits_retain(request.flags);
        if !(RenameFlags::NOREPLACE | RenameFlags::EXCHANGE).contains(flags) {
            return Err(Errno::INVAL);
        }
        let (old, new) = (self.node(request.olddirfid)?, self.node(request.newdirfid)?);
        let (old_name, new_name) = (Name::new(request.oldname)?, Name::new(request.newname)?);
        self.rename_entry((&old, old_name), (&new, new_name), flags)?;
        answer.with(&Rrename2 {})
    }

    /// Renames the file of a fid.
    pub(crate) fn rename(&mut self, request: &Trename<'_>, answer: &mut Answer<'_>) -> Result<()> {
        let (node, new) = (self.node(request.fid)?, self.node(request.dfid)?);
        let (old, old_name) = node.entry().map(|(dir, name)| (dir, name.to_vec())).ok_or(Errno::BUSY)?;
        let (old_name, new_name) = (Name::new(&old_name)?, Name::new(request.name)?);
        self.rename_entry((&old, old_name), (&new, new_name), RenameFlags::empty())?;
        answer.with(&Rrename {})
    }

    fn rename_entry(
        &self,
        (old, old_name): (&Rc<Node>, Name<'_>),
        (new, new_name): (&Rc<Node>, Name<'_>),
        flags: RenameFlags,
    ) -> Result<()> {
        self.check_writable()?;
        renameat_with(old.fd(), old_name.bytes(), new.fd(), new_name.bytes(), flags)?;
        let is_exchange = flags.contains(RenameFlags::EXCHANGE);
        let mut moves = Vec::new();
        for node in self.fids.nodes() {
            // A directory on the way to a fid's file may have no fid of its own.
            let mut node = Rc::clone(node);
            loop {
                if node.is_at(old, old_name) {
                    moves.push((Rc::clone(&node), new, new_name));
                } else if is_exchange && node.is_at(new, new_name) {
                    moves.push((Rc::clone(&node), old, old_name));
                }
                let parent = node.parent();
                if Rc::ptr_eq(&parent, &node) {
                    break;
                }
                node = parent;
            }
        }
        for (node, dir, name) in moves {
            // A loop of parents would never be freed. The host has refused to make one; what other clients did at the
            // same time can make it look like one.
            if !is_beneath(dir, &node) {
                node.move_to(dir, name);
            }
        }
        Ok(())
    }
}

/// True if `node` is `dir` or found beneath it.
fn is_beneath(node: &Rc<Node>, dir: &Node) -> bool {
    let mut node = Rc::clone(node);
    loop {
        if node.id() == dir.id() {
            return true;
        }
        let parent = node.parent();
        if Rc::ptr_eq(&parent, &node) {
            return false;
        }
        node = parent;
    }
}
