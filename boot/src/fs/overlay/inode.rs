//! The objects of an overlay.

use std::any::Any;
use std::sync::Arc;

use cloister_sync::{Lock, class};

use super::OverlayFs;
use super::file_system::Key;
use super::names::Names;
use super::open_directory::OpenDirectory;
use crate::error::{Errno, Fail};
use crate::fs::tmpfs::TmpfsInode;
use crate::fs::{
    Anchors, AttributeChange, Attributes, Change, FileKind, FileOps, FileSystem, Inode, NewInode, OpenCx,
    RenameMode, XattrMode,
};
use crate::prelude::errno;
use crate::task::Task;

/// An object of an overlay.
#[derive(Debug)]
pub(crate) struct OverlayInode {
    pub(super) file_system: Arc<OverlayFs>,
    kind: FileKind,
    pub(super) number: u64,
    /// What it was before this overlay; `None` for what was made here.
    pub(super) lower: Option<Arc<dyn Inode>>,
    pub(super) copying: Lock<(), { class::COPY_UP }>,
    pub(super) state: Lock<State, { class::UPPER_INODE }>,
    anchors: Anchors,
}

/// What can change of an object.
#[derive(Debug)]
pub(super) struct State {
    /// Attributes and contents, once they differ from the lower ones.
    pub(super) upper: Option<Arc<TmpfsInode>>,
    /// The number of names.
    pub(super) links: u32,
    /// The names of a directory that differ from the lower ones.
    pub(super) names: Names,
}

impl OverlayInode {
    /// Makes the object that stands for a lower inode.
    pub(super) fn of_lower(file_system: &Arc<OverlayFs>, lower: Arc<dyn Inode>) -> Result<Self, Errno> {
        let attributes = lower.attributes()?;
        Ok(Self {
            file_system: Arc::clone(file_system),
            kind: lower.kind(),
            number: attributes.inode,
            lower: Some(lower),
            copying: Lock::default(),
            state: Lock::new(State { upper: None, links: attributes.links, names: Names::default() }),
            anchors: Anchors::default(),
        })
    }

    /// Makes a new object without a name.
    pub(super) fn new(file_system: &Arc<OverlayFs>, new: &NewInode, links: u32) -> Result<Arc<Self>, Errno> {
        file_system.upper.check_inodes()?;
        let upper = TmpfsInode::new(&file_system.upper, new);
        Ok(Arc::new(Self {
            file_system: Arc::clone(file_system),
            kind: upper.kind(),
            number: file_system.new_number(),
            lower: None,
            copying: Lock::default(),
            state: Lock::new(State { upper: Some(upper), links, names: Names::default() }),
            anchors: Anchors::default(),
        }))
    }

    /// Makes an object as it was saved, but for its names.
    pub(super) fn with_parts(
        file_system: &Arc<OverlayFs>,
        kind: FileKind,
        number: u64,
        lower: Option<Arc<dyn Inode>>,
        (upper, links): (Option<Arc<TmpfsInode>>, u32),
    ) -> Arc<Self> {
        Arc::new(Self {
            file_system: Arc::clone(file_system),
            kind,
            number,
            lower,
            copying: Lock::default(),
            state: Lock::new(State { upper, links, names: Names::default() }),
            anchors: Anchors::default(),
        })
    }

    /// Returns the object of this file system that `inode` is.
    pub(super) fn from_dyn(inode: &Arc<dyn Inode>) -> Result<Arc<Self>, Errno> {
        (Arc::clone(inode) as Arc<dyn Any + Send + Sync>).downcast().map_err(|_| errno::EXDEV)
    }

    /// Returns whether attributes and contents are those of the lower layer.
    pub(crate) fn is_as_below(&self) -> bool {
        self.state.lock().upper.is_none()
    }

    /// Returns the inode that attributes and contents are in now.
    fn current(&self) -> Result<Arc<dyn Inode>, Errno> {
        let state = self.state.lock();
        match (&state.upper, &self.lower) {
            (Some(upper), _) => Ok(Arc::clone(upper) as Arc<dyn Inode>),
            (None, Some(lower)) => Ok(Arc::clone(lower)),
            // An object without a lower inode was made with an upper one.
            (None, None) => Err(errno::EIO),
        }
    }

    /// Changes the number of names by `change`, and keeps or drops the object accordingly.
    pub(super) fn change_links(&self, change: i32) {
        let links = {
            let mut state = self.state.lock();
            state.links = state.links.saturating_add_signed(change);
            if let Some(upper) = &state.upper {
                // An upper inode's time of change is all that it keeps of this.
                let _ = upper.set_attributes(&AttributeChange::default());
            }
            state.links
        };
        let Some(lower) = &self.lower else { return };
        if self.has_name(links) {
            self.file_system.pin(Key::of(lower));
        } else {
            self.file_system.unpin(Key::of(lower));
        }
    }

    /// Returns whether it has a name, if it has so many links: a directory that was removed still counts itself.
    pub(super) fn has_name(&self, links: u32) -> bool {
        links > u32::from(self.kind == FileKind::Directory)
    }

    /// Notes that the names of this directory changed.
    pub(super) fn touch(&self) -> Result<(), Errno> {
        let change = AttributeChange { modified: Some(Change::Now), ..AttributeChange::default() };
        self.upper()?.set_attributes(&change)
    }
}

impl Inode for OverlayInode {
    fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::clone(&self.file_system) as Arc<_>
    }

    fn kind(&self) -> FileKind {
        self.kind
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        let attributes = self.current()?.attributes()?;
        let links = self.state.lock().links;
        Ok(Attributes { inode: self.number, links, ..attributes })
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<(), Errno> {
        // What is cut off need not be copied first.
        self.upper_with(change.size)?.set_attributes(change)
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        Ok(self.child(name)?)
    }

    fn create(&self, name: &[u8], new: &NewInode) -> Result<Arc<dyn Inode>, Errno> {
        Ok(self.make(name, new)?)
    }

    fn create_unnamed(&self, new: &NewInode, _is_linkable: bool) -> Result<Arc<dyn Inode>, Errno> {
        Ok(Self::new(&self.file_system, new, 0)?)
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<(), Errno> {
        self.add_link(name, &Self::from_dyn(target)?)
    }

    fn unlink(&self, name: &[u8], victim: &Arc<dyn Inode>) -> Result<(), Errno> {
        let victim = Self::from_dyn(victim)?;
        self.remove(name, &victim)
    }

    fn remove_directory(&self, name: &[u8], victim: &Arc<dyn Inode>) -> Result<(), Errno> {
        let victim = Self::from_dyn(victim)?;
        victim.check_empty()?;
        self.remove(name, &victim)
    }

    fn rename(
        &self,
        name: &[u8],
        to: &Arc<dyn Inode>,
        to_name: &[u8],
        mode: RenameMode,
    ) -> Result<(), Errno> {
        self.rename_to(name, &Self::from_dyn(to)?, to_name, mode)
    }

    fn read_link(&self, task: &Task) -> Result<Vec<u8>, Errno> {
        self.current()?.read_link(task)
    }

    /// A file that is opened for reading before it was ever written is the lower layer's own: nothing is in between.
    fn open(self: Arc<Self>, cx: &OpenCx<'_>) -> Result<Box<dyn FileOps>, Fail> {
        if self.kind == FileKind::Directory {
            return Ok(Box::new(OpenDirectory::new(self)));
        }
        if self.kind == FileKind::Regular && cx.flags.is_writable() {
            return self.upper()?.open(cx);
        }
        self.current()?.open(cx)
    }

    fn xattr(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        self.current()?.xattr(name)
    }

    fn set_xattr(&self, name: &[u8], value: &[u8], mode: XattrMode) -> Result<(), Errno> {
        self.upper()?.set_xattr(name, value, mode)
    }

    fn xattr_names(&self) -> Result<Vec<Vec<u8>>, Errno> {
        self.current()?.xattr_names()
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<(), Errno> {
        self.upper()?.remove_xattr(name)
    }

    fn anchors(&self) -> &Anchors {
        &self.anchors
    }
}

impl Drop for OverlayInode {
    fn drop(&mut self) {
        if let Some(lower) = &self.lower {
            self.file_system.forget(Key::of(lower));
        }
    }
}
