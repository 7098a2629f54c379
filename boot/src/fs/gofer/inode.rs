//! The inodes of host files.

use std::os::fd::AsFd;
use std::sync::Arc;

use cloister_9p::Attr;
use cloister_9p::client::{Fid, Found};
use cloister_sync::{Lock, class};
use smallvec::SmallVec;

use super::attributes::{self, FileId};
use super::handles::Handles;
use super::{GoferFs, Trust};
use crate::error::Errno;
use crate::fs::{Anchors, FileKind};

/// The inode of a host file.
#[derive(Debug)]
pub(crate) struct GoferInode {
    pub(super) file_system: Arc<GoferFs>,
    pub(super) id: FileId,
    pub(super) kind: FileKind,
    pub(super) state: Lock<State, { class::INODE }>,
    /// Held over a write to the end of the file.
    pub(super) appends: Lock<(), { class::INODE }>,
    pub(super) anchors: Anchors,
}

/// How many fids an inode has at most: a file with more names than these may, once names were removed, not be opened again
/// before it is looked up again.
const MAX_FIDS: usize = 8;

/// What an inode knows.
#[derive(Debug)]
pub(super) struct State {
    /// The fids that stand for the file, one for each name by which it was found: the gofer can open a file only by a
    /// name that it still has. There is always one; the newest is the last.
    fids: SmallVec<[Fid; 1]>,
    /// The attributes as they were told last.
    attr: Attr,
    /// Whether they are still true.
    is_fresh: bool,
    /// The number of renames when they were told.
    renames: u64,
    /// What a symbolic link holds, once it was asked for.
    pub(super) target: Option<Box<[u8]>>,
    /// The descriptors of the file that are open.
    pub(super) handles: Handles,
}

impl GoferInode {
    /// Makes the inode of a file that was found.
    pub(super) fn new(file_system: Arc<GoferFs>, found: Found) -> Self {
        let Found { fid, attr } = found;
        let state = State {
            fids: SmallVec::from_elem(fid, 1),
            attr,
            is_fresh: true,
            renames: file_system.renames(),
            target: None,
            handles: Handles::default(),
        };
        Self {
            file_system,
            id: (attr.dev, attr.ino),
            // A kind that Linux does not have can only be something that is never opened.
            kind: FileKind::from_mode(attr.mode).unwrap_or(FileKind::Socket),
            state: Lock::new(state),
            appends: Lock::default(),
            anchors: Anchors::default(),
        }
    }

    /// Notes that the file was found once more. Returns a fid that is not needed.
    pub(super) fn meet_again(&self, found: Found) -> Option<Fid> {
        let mut state = self.state.lock();
        state.attr = found.attr;
        state.is_fresh = state.handles.writer().is_none();
        state.renames = self.file_system.renames();
        if found.attr.nlink > 1 && self.kind != FileKind::Directory {
            let oldest = (state.fids.len() >= MAX_FIDS).then(|| state.fids.remove(0));
            state.fids.push(found.fid);
            return oldest;
        }
        // The place where it was found last is the one that counts.
        let newest = state.fids.last_mut()?;
        Some(std::mem::replace(newest, found.fid))
    }

    /// Returns the newest fid.
    pub(super) fn fid(&self) -> Fid {
        *self.state.lock().fids.last().expect("an inode has a fid until it is dropped")
    }

    /// Returns all fids, the newest first.
    pub(super) fn fids(&self) -> SmallVec<[Fid; 1]> {
        self.state.lock().fids.iter().rev().copied().collect()
    }

    /// Notes that the attributes have changed.
    pub(super) fn outdate(&self) {
        self.state.lock().is_fresh = false;
    }

    /// Notes a change of the owner, which the descriptor of a file that is open does not tell.
    pub(super) fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) {
        let attr = &mut self.state.lock().attr;
        attr.uid = uid.unwrap_or(attr.uid);
        attr.gid = gid.unwrap_or(attr.gid);
    }

    /// Keeps what a symbolic link holds.
    pub(super) fn set_target(&self, target: Vec<u8>) {
        self.state.lock().target = Some(target.into());
    }

    /// Returns the attributes if no request is needed to know them.
    fn known_attr(&self) -> Result<Option<Attr>, Errno> {
        let mut state = self.state.lock();
        let host = match self.file_system.trust() {
            Trust::Exclusive => state.handles.writer(),
            Trust::Shared => state.handles.any(),
        };
        if let Some(host) = host {
            let mut attr = state.attr;
            attributes::refresh(&mut attr, host.as_fd())?;
            // Whoever else changes the owner, which the descriptor does not tell, changes this time with it.
            if self.file_system.trust() == Trust::Shared && attr.ctime != state.attr.ctime {
                return Ok(None);
            }
            state.attr = attr;
            return Ok(Some(attr));
        }
        let may_have_lost_a_name =
            state.attr.nlink > 1 && !state.attr.is_dir() && state.renames != self.file_system.renames();
        let is_known =
            state.is_fresh && self.file_system.trust() == Trust::Exclusive && !may_have_lost_a_name;
        Ok(is_known.then_some(state.attr))
    }

    /// Returns the attributes.
    pub(super) fn attr(&self) -> Result<Attr, Errno> {
        if let Some(attr) = self.known_attr()? {
            return Ok(attr);
        }
        let renames = self.file_system.renames();
        let fid = self.fid();
        let attr = self.file_system.call(|client| client.getattr(fid))?;
        let mut state = self.state.lock();
        state.attr = attr;
        state.renames = renames;
        // While it is open for writing it changes without a word.
        state.is_fresh = state.handles.writer().is_none();
        Ok(attr)
    }
}

impl Drop for GoferInode {
    fn drop(&mut self) {
        self.close_reader();
        let fids = std::mem::take(&mut self.state.get_mut().fids);
        self.file_system.release(self.id, fids);
    }
}
