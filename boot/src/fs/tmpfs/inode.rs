//! Inodes.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use cloister_sync::{Lock, class};

use super::data::{Data, PAGE};
use super::directory::Entries;
use super::file::{TmpfsDirectory, TmpfsFile};
use super::file_system::{Tmpfs, kind_of};
use super::state::{Body, State};
use super::xattrs::Xattrs;
use super::{MemfdMount, Seals};
use crate::error::{Errno, Fail};
use crate::fs::{
    Anchors, AttributeChange, Attributes, FileKind, FileOps, FileSystem, Inode, NameEntry, NewInode,
    NewInodeKind, OpenCx, OpenFile, RenameMode, Source, Timestamp, XattrMode, downcast_inode,
};
use crate::prelude::{errno, uapi};
use crate::task::Task;

/// An inode of a tmpfs.
#[derive(Debug)]
pub(crate) struct TmpfsInode {
    pub(super) file_system: Arc<Tmpfs>,
    pub(super) number: u64,
    pub(super) kind: FileKind,
    pub(super) state: Lock<State, { class::INODE }>,
    pub(super) anchors: Anchors,
}

impl TmpfsInode {
    /// Makes an inode without a name.
    pub(crate) fn new(file_system: &Arc<Tmpfs>, new: &NewInode) -> Arc<Self> {
        Self::with_seals(file_system, new, Seals::SEAL)
    }

    /// Makes an inode without a name whose contents have these seals.
    pub(super) fn with_seals(file_system: &Arc<Tmpfs>, new: &NewInode, seals: Seals) -> Arc<Self> {
        let (kind, now, number) = (kind_of(&new.kind), Timestamp::now(), file_system.add_inode());
        let body = match &new.kind {
            NewInodeKind::Regular => Body::File(Data::new(seals)),
            NewInodeKind::Directory => Body::Directory(Entries::default()),
            NewInodeKind::Symlink(target) => Body::Symlink(target.as_slice().into()),
            NewInodeKind::CharDevice(..)
            | NewInodeKind::BlockDevice(..)
            | NewInodeKind::Fifo
            | NewInodeKind::Socket => Body::Special,
        };
        let device = match new.kind {
            NewInodeKind::CharDevice(major, minor) | NewInodeKind::BlockDevice(major, minor) => {
                (major, minor)
            }
            _ => (0, 0),
        };
        let attributes = Attributes {
            inode: number,
            kind,
            permissions: if kind == FileKind::Symlink { 0o777 } else { new.permissions },
            links: 1,
            uid: new.uid,
            gid: new.gid,
            device,
            size: 0,
            blocks: 0,
            block_bytes: 4096,
            accessed: now,
            modified: now,
            changed: now,
            created: Some(now),
        };
        let state = State { attributes, xattrs: Xattrs::default(), body, charged: 0, is_linkable: false };
        let file_system = Arc::clone(file_system);
        Arc::new(Self { file_system, number, kind, state: Lock::new(state), anchors: Anchors::default() })
    }

    /// Returns its file system.
    pub(super) fn tmpfs(&self) -> &Arc<Tmpfs> {
        &self.file_system
    }

    /// Returns whether it is a directory.
    pub(super) fn is_directory(&self) -> bool {
        self.kind == FileKind::Directory
    }

    /// Returns its number.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Returns what it is.
    pub(super) fn file_kind(&self) -> FileKind {
        self.kind
    }

    /// Returns the entry `name` of this directory.
    pub(crate) fn child(&self, name: &[u8]) -> Result<Arc<Self>, Errno> {
        self.state.lock().entries()?.get(name).cloned().ok_or(errno::ENOENT)
    }

    /// Runs `work` with the entries of this directory.
    pub(super) fn with_entries<T>(&self, work: impl FnOnce(&mut Entries) -> T) -> Result<T, Errno> {
        self.state.lock().entries().map(work)
    }

    /// Runs `work` with the contents of this file.
    pub(super) fn with_data<T>(&self, work: impl FnOnce(&mut Data) -> Result<T, Errno>) -> Result<T, Errno> {
        work(self.state.lock().data()?)
    }

    /// Writes at `offset`, or at the end. Returns the position behind what was written, and how much that was.
    pub(crate) fn write(&self, offset: Option<u64>, from: &mut dyn Source) -> Result<(u64, usize), Errno> {
        let mut state = self.state.lock();
        let data = state.data()?;
        let size = data.size();
        let offset = offset.unwrap_or(size);
        let mut len = from.remaining();
        if len == 0 {
            return Ok((offset, 0));
        }
        if offset.saturating_add(len as u64) > size {
            let room = usize::try_from(self.file_system.room()).unwrap_or(usize::MAX);
            if room == 0 {
                return Err(errno::ENOSPC);
            }
            len = len.min(room);
        }
        let written = data.write(offset, from, len);
        state.charge(&self.file_system);
        let written = written?;
        state.touch();
        Ok((offset + written as u64, written))
    }

    /// Changes the contents otherwise, and notes the change.
    fn change<T>(&self, work: impl FnOnce(&mut Data) -> Result<T, Errno>) -> Result<T, Errno> {
        let mut state = self.state.lock();
        let result = work(state.data()?);
        state.charge(&self.file_system);
        let value = result?;
        state.touch();
        Ok(value)
    }

    /// Allocates space, punches a hole or zeroes a range (`fallocate(2)`).
    pub(super) fn allocate(&self, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
        let room = self.file_system.room();
        self.change(|data| {
            // What is allocated already may lie in the range.
            let needed = len.saturating_sub(data.pages().saturating_mul(PAGE));
            let frees = mode & uapi::FALLOC_FL_PUNCH_HOLE != 0;
            if needed > room && !frees { Err(errno::ENOSPC) } else { data.allocate(mode, offset, len) }
        })
    }

    /// Notes that the contents were read.
    pub(super) fn note_access(&self, file: &OpenFile) {
        let mut state = self.state.lock();
        let now = Timestamp::now();
        if file.notes_access(&state.attributes, now) {
            state.attributes.accessed = now;
        }
    }

    /// Returns the memfd with the contents, for a mapping.
    pub(super) fn map(&self) -> Result<Arc<OwnedFd>, Errno> {
        self.with_data(|data| data.move_to_host())
    }

    /// Adds an entry to this directory.
    fn insert(&self, name: &[u8], inode: Arc<Self>) -> Result<(), Errno> {
        let mut state = self.state.lock();
        state.entries()?.insert(name, inode)?;
        state.touch();
        Ok(())
    }

    /// Removes an entry of this directory.
    fn remove(&self, name: &[u8]) -> Result<Arc<Self>, Errno> {
        let mut state = self.state.lock();
        let removed = state.entries()?.remove(name)?;
        state.touch();
        Ok(removed)
    }

    /// Takes note that a name of this inode is gone.
    fn drop_link(&self) {
        let mut state = self.state.lock();
        state.attributes.links = state.attributes.links.saturating_sub(1);
        state.attributes.changed = Timestamp::now();
    }

    /// Makes this directory, which must be empty, one in which nothing can be made.
    fn kill(&self) -> Result<(), Errno> {
        self.with_entries(Entries::kill)?
    }

    fn make(&self, new: &NewInode) -> Result<Arc<Self>, Errno> {
        self.file_system.check_inodes()?;
        Ok(Self::new(&self.file_system, new))
    }
}

impl Inode for TmpfsInode {
    fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::clone(&self.file_system) as Arc<_>
    }

    fn kind(&self) -> FileKind {
        self.kind
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(self.state.lock().attributes())
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<(), Errno> {
        if let Some(size) = change.size {
            self.change(|data| data.set_size(size))?;
        }
        self.state.lock().attributes.apply(change);
        Ok(())
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        self.child(name).map(|inode| inode as Arc<_>)
    }

    fn create(&self, name: &[u8], new: &NewInode) -> Result<Arc<dyn Inode>, Errno> {
        let inode = self.make(new)?;
        self.insert(name, Arc::clone(&inode))?;
        Ok(inode)
    }

    fn create_unnamed(&self, new: &NewInode, is_linkable: bool) -> Result<Arc<dyn Inode>, Errno> {
        let inode = self.make(new)?;
        let mut state = inode.state.lock();
        state.attributes.links = 0;
        state.is_linkable = is_linkable;
        drop(state);
        Ok(inode)
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<(), Errno> {
        let target = downcast_inode::<Self>(target).ok_or(errno::EXDEV)?;
        {
            let mut state = target.state.lock();
            if state.attributes.links == 0 && !state.is_linkable {
                return Err(errno::ENOENT);
            }
            state.attributes.links = state.attributes.links.checked_add(1).ok_or(errno::EMLINK)?;
            state.attributes.changed = Timestamp::now();
        }
        self.insert(name, Arc::clone(&target)).inspect_err(|_| target.drop_link())
    }

    fn unlink(&self, name: &[u8], _victim: &Arc<dyn Inode>) -> Result<(), Errno> {
        self.remove(name)?.drop_link();
        Ok(())
    }

    fn remove_directory(&self, name: &[u8], _victim: &Arc<dyn Inode>) -> Result<(), Errno> {
        self.child(name)?.kill()?;
        self.remove(name)?;
        Ok(())
    }

    fn rename(
        &self,
        name: &[u8],
        to: &Arc<dyn Inode>,
        to_name: &[u8],
        mode: RenameMode,
    ) -> Result<(), Errno> {
        let to = downcast_inode::<Self>(to).ok_or(errno::EXDEV)?;
        let old = self.child(name)?;
        let new = to.child(to_name).ok();
        match (mode, new) {
            (RenameMode::NoReplace, Some(_)) => return Err(errno::EEXIST),
            (RenameMode::Exchange, None) => return Err(errno::ENOENT),
            (RenameMode::Exchange, Some(new)) => {
                self.insert(name, Arc::clone(&new))?;
                to.insert(to_name, Arc::clone(&old))?;
                new.state.lock().attributes.changed = Timestamp::now();
            }
            (_, new) => {
                if let Some(directory) = new.as_ref().filter(|new| new.kind == FileKind::Directory) {
                    directory.kill()?;
                }
                to.insert(to_name, Arc::clone(&old))?;
                self.remove(name)?;
                if let Some(new) = new {
                    new.drop_link();
                }
            }
        }
        old.state.lock().attributes.changed = Timestamp::now();
        Ok(())
    }

    fn read_link(&self, _task: &Task) -> Result<Vec<u8>, Errno> {
        match &self.state.lock().body {
            Body::Symlink(target) => Ok(target.to_vec()),
            Body::File(_) | Body::Directory(_) | Body::Special => Err(errno::EINVAL),
        }
    }

    fn symlink_target(&self) -> Result<Vec<u8>, Errno> {
        match &self.state.lock().body {
            Body::Symlink(target) => Ok(target.to_vec()),
            Body::File(_) | Body::Directory(_) | Body::Special => Err(errno::EINVAL),
        }
    }

    fn names(self: Arc<Self>) -> Result<Vec<NameEntry>, Errno> {
        self.with_entries(|entries| {
            let entry = |(name, inode): (&[u8], &Arc<Self>)| NameEntry {
                name: name.to_vec(),
                inode: inode.number,
                kind: inode.kind,
            };
            entries.iter().map(entry).collect()
        })
    }

    fn host_file(&self) -> Result<Arc<OwnedFd>, Errno> {
        self.map()
    }

    fn open(self: Arc<Self>, cx: &OpenCx<'_>) -> Result<Box<dyn FileOps>, Fail> {
        match self.kind {
            FileKind::Regular => Ok(Box::new(TmpfsFile::new(self))),
            FileKind::Directory => Ok(Box::new(TmpfsDirectory::new(self, cx.path))),
            _ => Err(errno::ENXIO.into()),
        }
    }

    fn xattr(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        self.state.lock().xattrs.get(name)
    }

    fn set_xattr(&self, name: &[u8], value: &[u8], mode: XattrMode) -> Result<(), Errno> {
        let mut state = self.state.lock();
        state.attributes.changed = Timestamp::now();
        state.xattrs.set(name, value, mode)
    }

    fn xattr_names(&self) -> Result<Vec<Vec<u8>>, Errno> {
        Ok(self.state.lock().xattrs.names())
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<(), Errno> {
        let mut state = self.state.lock();
        state.attributes.changed = Timestamp::now();
        state.xattrs.remove(name)
    }

    fn seals(&self) -> Result<u32, Errno> {
        self.with_data(|data| Ok(data.seals.bits())).map_err(|_| errno::EINVAL)
    }

    fn add_seals(&self, seals: u32) -> Result<(), Errno> {
        let seals = Seals::from_bits(seals).ok_or(errno::EINVAL)?;
        self.with_data(|data| data.add_seals(seals))
    }

    fn anchors(&self) -> &Anchors {
        &self.anchors
    }
}

impl MemfdMount {
    /// Makes an empty file for `memfd_create(2)`.
    pub(super) fn new_file(file_system: &Arc<Tmpfs>, new: &NewInode, seals: Seals) -> Arc<TmpfsInode> {
        let inode = TmpfsInode::with_seals(file_system, new, seals);
        inode.state.lock().attributes.links = 0;
        inode
    }
}

impl Drop for TmpfsInode {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        self.file_system.remove_inode();
        self.file_system.charge(state.charged, 0);
        match &mut state.body {
            Body::File(_) | Body::Symlink(_) | Body::Special => {}
            Body::Directory(entries) => {
                // A loop in place of the recursion: the guest decides how deep its directories are.
                let mut rest: Vec<_> = entries.take_all().collect();
                while let Some(child) = rest.pop() {
                    let Some(mut child) = Arc::into_inner(child) else { continue };
                    if let Body::Directory(entries) = &mut child.state.get_mut().body {
                        rest.extend(entries.take_all());
                    }
                }
            }
        }
    }
}
