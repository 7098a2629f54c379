//! The inodes of host files.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use cloister_9p::Attr;
use cloister_9p::client::{Fid, Found};
use cloister_sync::{Lock, class};
use rustix::fs::OFlags;
use smallvec::{SmallVec, smallvec};

use super::attributes::{self, FileId};
use super::handles::Handles;
use super::listing::{Listing, Told};
use super::{GoferFs, Trust};
use crate::error::Errno;
use crate::fs::{Anchors, FileKind};
use crate::prelude::errno;

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
    /// Where it was found first, for who has to find it in another sandbox: the root has no such place.
    origin: OnceLock<Place>,
}

/// How many fids an inode has at most: a file with more names than these may, once names were removed, not be opened again
/// before it is looked up again.
const MAX_FIDS: usize = 8;

/// The size of a directory that is listed as its names are looked up. A block of the usual file systems: listing the hundred
/// entries or so that fit costs little more than looking two up, and spares the look-ups of those that do not exist, of which
/// package managers and importers make several in each directory.
const SMALL_DIRECTORY: u64 = 4096;

/// What an inode knows.
#[derive(Debug)]
pub(super) struct State {
    /// The fids that stand for the file, one for each name by which it was found: the gofer can open a file only by a
    /// name that it still has. The newest is the last.
    fids: SmallVec<[Fid; 1]>,
    /// Where a listing told of the file, for as long as no request has needed a fid.
    place: Option<Place>,
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
    /// What this directory holds, if that is known.
    pub(super) listing: Option<Listing>,
    /// Whether a name of this directory was asked for alone.
    was_asked: bool,
    /// Whether it was listed because its names were asked for.
    was_tried: bool,
    /// An extended attribute that it was asked for and does not have, and how that is told.
    missing_xattr: Option<(Box<[u8]>, Errno)>,
}

/// Where a file is found.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The directory.
    pub(super) directory: Arc<GoferInode>,
    /// The name.
    pub(super) name: Box<[u8]>,
}

impl GoferInode {
    /// Makes the inode of a file that was found.
    pub(super) fn new(file_system: Arc<GoferFs>, found: Found) -> Self {
        let Found { fid, attr } = found;
        Self::with_state(file_system, State::new(attr, smallvec![fid]))
    }

    /// Makes the inode of a file that a listing told of.
    pub(super) fn of_told(file_system: Arc<GoferFs>, told: Told, place: Place) -> Self {
        let Told { attr, target } = told;
        let origin = place.clone();
        let state = State { place: Some(place), target, ..State::new(attr, SmallVec::new()) };
        let inode = Self::with_state(file_system, state);
        inode.note_origin(origin.directory, &origin.name);
        inode
    }

    fn with_state(file_system: Arc<GoferFs>, mut state: State) -> Self {
        let attr = state.attr;
        state.renames = file_system.renames();
        Self {
            file_system,
            id: (attr.dev, attr.ino),
            // A kind that Linux does not have can only be something that is never opened.
            kind: FileKind::from_mode(attr.mode).unwrap_or(FileKind::Socket),
            state: Lock::new(state),
            appends: Lock::default(),
            anchors: Anchors::default(),
            origin: OnceLock::new(),
        }
    }

    /// Notes that it was found in `directory` by `name`.
    pub(super) fn note_origin(&self, directory: Arc<Self>, name: &[u8]) {
        self.origin.get_or_init(|| Place { directory, name: name.into() });
    }

    /// Returns the names by which it was found first, below the root of its tree.
    pub(crate) fn origin_names(&self) -> Vec<Box<[u8]>> {
        let mut names = Vec::new();
        let mut origin = self.origin.get().cloned();
        while let Some(Place { directory, name }) = origin {
            names.push(name);
            origin = directory.origin.get().cloned();
        }
        names.reverse();
        names
    }

    /// Returns its file system.
    pub(crate) fn tree(&self) -> &Arc<GoferFs> {
        &self.file_system
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
            let place = state.place.take();
            drop(state);
            drop(place);
            return oldest;
        }
        // The place where it was found last is the one that counts.
        if let Some(newest) = state.fids.last_mut() {
            return Some(std::mem::replace(newest, found.fid));
        }
        state.fids.push(found.fid);
        let place = state.place.take();
        drop(state);
        drop(place);
        None
    }

    /// Returns the newest fid.
    ///
    /// # Errors
    ///
    /// Where a listing told of the file, what a walk to it says; `ESTALE` if there is another file.
    pub(super) fn fid(&self) -> Result<Fid, Errno> {
        let (fid, place) = {
            let state = self.state.lock();
            (state.fids.last().copied(), state.place.clone())
        };
        match (fid, place) {
            (Some(fid), _) => Ok(fid),
            (None, Some(place)) => self.walk_from(&place, None).map(|(fid, _)| fid),
            (None, None) => Err(errno::ESTALE),
        }
    }

    /// Returns all fids, the newest first.
    pub(super) fn fids(&self) -> SmallVec<[Fid; 1]> {
        self.state.lock().fids.iter().rev().copied().collect()
    }

    /// Returns where the file is found if it has no fid yet.
    pub(super) fn place(&self) -> Option<Place> {
        self.state.lock().place.clone()
    }

    /// Walks to the file, which has no fid yet, and opens it if `flags` are given.
    pub(super) fn walk_from(
        &self,
        Place { directory, name }: &Place,
        flags: Option<OFlags>,
    ) -> Result<(Fid, Option<Result<OwnedFd, u32>>), Errno> {
        let (above, names) = (directory.fid()?, [&**name]);
        let mut walk = self.file_system.call(|client| match flags {
            Some(flags) => client.walk_open(above, &names, flags.bits()),
            None => client.walk_attr(above, &names),
        })?;
        let found = walk.found.pop().ok_or_else(|| walk_errno(walk.error))?;
        let fid = self.take_fid(found.fid, Some((found.attr.dev, found.attr.ino)))?;
        Ok((fid, walk.opened))
    }

    /// Takes the fid of a file that is found where this one was, and has this id. Returns the fid to be used.
    ///
    /// # Errors
    ///
    /// `ESTALE` if that is another file.
    pub(super) fn take_fid(&self, fid: Fid, id: Option<FileId>) -> Result<Fid, Errno> {
        if id != Some(self.id) {
            self.file_system.give_back([fid]);
            return Err(errno::ESTALE);
        }
        let (place, earlier) = {
            let mut state = self.state.lock();
            let earlier = state.fids.last().copied();
            if earlier.is_none() {
                state.fids.push(fid);
            }
            (state.place.take(), earlier)
        };
        drop(place);
        let Some(earlier) = earlier else { return Ok(fid) };
        self.file_system.give_back([fid]);
        Ok(earlier)
    }

    /// Notes that the attributes have changed, and of a directory the names.
    pub(super) fn outdate(&self) {
        self.file_system.note_change();
        let listing = {
            let mut state = self.state.lock();
            state.is_fresh = false;
            state.missing_xattr = None;
            state.listing.take()
        };
        drop(listing);
    }

    /// Notes that a name of this directory is looked up. Returns whether to list the directory instead: once, if it is
    /// small and not the first name.
    pub(super) fn note_look_up(&self) -> bool {
        let mut state = self.state.lock();
        let is_small = state.attr.is_dir() && state.attr.size <= SMALL_DIRECTORY;
        let is_worth_it = is_small && state.was_asked && !state.was_tried;
        state.was_asked = true;
        state.was_tried |= is_worth_it;
        is_worth_it
    }

    /// Returns how it was told that there is no extended attribute `name`, if it was and still is true.
    pub(super) fn missing_xattr(&self, name: &[u8]) -> Option<Errno> {
        match &self.state.lock().missing_xattr {
            Some((missing, told)) if **missing == *name => Some(*told),
            _ => None,
        }
    }

    /// Notes that there is no extended attribute `name`, which others than this kernel don't change.
    pub(super) fn note_missing_xattr(&self, name: &[u8], told: Errno) {
        self.state.lock().missing_xattr = Some((name.into(), told));
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
        let fid = self.fid()?;
        let attr = self.file_system.call(|client| client.getattr(fid))?;
        let mut state = self.state.lock();
        state.attr = attr;
        state.renames = renames;
        // While it is open for writing it changes without a word.
        state.is_fresh = state.handles.writer().is_none();
        Ok(attr)
    }
}

impl State {
    fn new(attr: Attr, fids: SmallVec<[Fid; 1]>) -> Self {
        Self {
            fids,
            place: None,
            attr,
            is_fresh: true,
            renames: 0,
            target: None,
            handles: Handles::default(),
            listing: None,
            was_asked: false,
            was_tried: false,
            missing_xattr: None,
        }
    }
}

/// Returns what an unfinished walk says.
pub(super) fn walk_errno(number: Option<u32>) -> Errno {
    number.and_then(|number| i32::try_from(number).ok()).map_or(errno::EIO, Errno::from_raw)
}

impl Drop for GoferInode {
    fn drop(&mut self) {
        self.close_reader();
        let fids = std::mem::take(&mut self.state.get_mut().fids);
        self.file_system.release(self.id, fids);
        // A loop in place of the recursion: the guest decides how deep its directories are.
        let mut origin = self.origin.take();
        while let Some(mut inode) = origin.and_then(|place| Arc::into_inner(place.directory)) {
            origin = inode.origin.take();
        }
    }
}
