//! A file that a client has found.
//!
//! A node holds an `O_PATH` descriptor, which reaches the same file whatever happens to its name, and the node of the
//! directory in which it was found, so that `..` never asks the host. What a path descriptor cannot do, above all to open
//! the file, is done by looking the name up once more beneath that directory; the file found is used only if it is the
//! very same one. The usual alternative, `/proc/self/fd`, would put a `/proc` into the gofer's root.

use std::cell::{Ref, RefCell};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use cloister_9p::Attr;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use crate::name::Name;
use crate::{Result, attr};

/// How each name is looked up: it can lead to nothing but an entry of the directory at hand.
const RESOLVE: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// The open flags that a client may choose.
const CLIENT_FLAGS: OFlags = OFlags::ACCMODE
    .union(OFlags::TRUNC)
    .union(OFlags::APPEND)
    .union(OFlags::DIRECT)
    .union(OFlags::SYNC)
    .union(OFlags::DSYNC)
    .union(OFlags::NOATIME);

/// The open flags that are always set. `O_NONBLOCK` means nothing to a regular file; it is for the moment in which the
/// host puts a FIFO in its place.
const OWN_FLAGS: OFlags =
    OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// What makes a file the same one: device and inode number.
pub(crate) type FileId = (u64, u64);

/// Where a node was found.
#[derive(Debug)]
enum Place {
    /// It is the root of a tree. The directory outside that holds it is for opening it only.
    Root { outside: Option<(OwnedFd, Box<[u8]>)> },
    /// It is an entry.
    Entry { parent: Rc<Node>, name: Box<[u8]> },
}

/// A file that a client has found.
#[derive(Debug)]
pub struct Node {
    fd: OwnedFd,
    id: FileId,
    kind: FileType,
    place: RefCell<Place>,
}

impl Node {
    /// The root of a tree.
    pub(crate) fn root(fd: OwnedFd, outside: Option<(OwnedFd, Box<[u8]>)>) -> Result<Self> {
        let attr = attr::of(&fd)?;
        Ok(Self::new(fd, &attr, Place::Root { outside }))
    }

    fn new(fd: OwnedFd, attr: &Attr, place: Place) -> Self {
        Self { fd, id: id(attr), kind: FileType::from_raw_mode(attr.mode), place: RefCell::new(place) }
    }

    /// Finds an entry of this directory.
    ///
    /// # Errors
    ///
    /// `ENOTDIR` if this is no directory.
    pub(crate) fn child(self: &Rc<Self>, name: Name<'_>) -> Result<(Rc<Self>, Attr)> {
        if !self.is_dir() {
            return Err(Errno::NOTDIR);
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat2(&self.fd, name.bytes(), flags, Mode::empty(), RESOLVE)?;
        let attr = attr::of(&fd)?;
        let place = Place::Entry { parent: Rc::clone(self), name: name.bytes().into() };
        Ok((Rc::new(Self::new(fd, &attr, place)), attr))
    }

    /// The directory that holds this file, as far as the tree goes: that of the root is the root itself.
    pub(crate) fn parent(self: &Rc<Self>) -> Rc<Self> {
        match &*self.place.borrow() {
            Place::Root { .. } => Rc::clone(self),
            Place::Entry { parent, .. } => Rc::clone(parent),
        }
    }

    /// The directory and the name at which this file was found; `None` for the root.
    pub(crate) fn entry(&self) -> Option<(Rc<Self>, Ref<'_, [u8]>)> {
        let place = self.place.borrow();
        let Place::Entry { parent, .. } = &*place else { return None };
        let parent = Rc::clone(parent);
        let name = Ref::filter_map(place, |place| match place {
            Place::Entry { name, .. } => Some(&**name),
            Place::Root { .. } => None,
        });
        name.ok().map(|name| (parent, name))
    }

    /// True if this file was found by `name` in `dir`.
    pub(crate) fn is_at(&self, dir: &Self, name: Name<'_>) -> bool {
        matches!(&*self.place.borrow(), Place::Entry { parent, name: own }
            if **own == *name.bytes() && parent.id == dir.id)
    }

    /// Notes that this file is now found by `name` in `dir`.
    pub(crate) fn move_to(&self, dir: &Rc<Self>, name: Name<'_>) {
        *self.place.borrow_mut() = Place::Entry { parent: Rc::clone(dir), name: name.bytes().into() };
    }

    /// Opens the file with the flags that a client asks for.
    ///
    /// # Errors
    ///
    /// `ELOOP` for a symbolic link and `ENXIO` for a device, FIFO or socket: those are never opened. `ESTALE` if another
    /// file is found in its place.
    pub(crate) fn open(&self, flags: OFlags) -> Result<OwnedFd> {
        let flags = flags & CLIENT_FLAGS | OWN_FLAGS;
        match self.kind {
            FileType::RegularFile => {}
            FileType::Directory => return self.open_dir(flags),
            FileType::Symlink => return Err(Errno::LOOP),
            _ => return Err(Errno::NXIO),
        }
        let place = self.place.borrow();
        let (dir, name) = match &*place {
            Place::Root { outside: Some((dir, name)) } => (dir.as_fd(), name),
            Place::Root { outside: None } => return Err(Errno::STALE),
            Place::Entry { parent, name } => (parent.fd.as_fd(), name),
        };
        // Truncation waits until it is known to be the right file.
        let fd = match openat2(dir, &**name, flags - OFlags::TRUNC, Mode::empty(), RESOLVE) {
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Err(Errno::STALE),
            other => other?,
        };
        if id(&attr::of(&fd)?) != self.id {
            return Err(Errno::STALE);
        }
        if flags.contains(OFlags::TRUNC) {
            self.truncate_open(&fd, flags)?;
        }
        Ok(fd)
    }

    /// Empties the file, which is open for writing or not: Linux lets `O_RDONLY | O_TRUNC` truncate.
    fn truncate_open(&self, fd: &OwnedFd, flags: OFlags) -> Result<()> {
        if flags.intersects(OFlags::WRONLY | OFlags::RDWR) {
            return rustix::fs::ftruncate(fd, 0);
        }
        rustix::fs::ftruncate(self.open(OFlags::WRONLY)?, 0)
    }

    /// Opens a directory for listing.
    fn open_dir(&self, flags: OFlags) -> Result<OwnedFd> {
        if flags.intersects(OFlags::WRONLY | OFlags::RDWR | OFlags::TRUNC) {
            return Err(Errno::ISDIR);
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat2(&self.fd, ".", flags, Mode::empty(), RESOLVE)
    }

    /// Creates a regular file in this directory and opens it.
    ///
    /// # Errors
    ///
    /// `EEXIST` whatever the name stands for.
    pub(crate) fn create(&self, name: Name<'_>, flags: OFlags, mode: u32) -> Result<OwnedFd> {
        let flags = flags & CLIENT_FLAGS | OWN_FLAGS | OFlags::CREATE | OFlags::EXCL;
        openat2(&self.fd, name.bytes(), flags, Mode::from_raw_mode(mode & 0o7777), RESOLVE)
    }

    /// The path descriptor.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The attributes, as they are now.
    pub(crate) fn attr(&self) -> Result<Attr> {
        attr::of(&self.fd)
    }

    /// What makes this file the same one.
    pub(crate) fn id(&self) -> FileId {
        self.id
    }

    /// The file type, which never changes.
    pub(crate) fn kind(&self) -> FileType {
        self.kind
    }

    /// True for a directory.
    pub(crate) fn is_dir(&self) -> bool {
        self.kind == FileType::Directory
    }
}

impl Drop for Node {
    /// Lets go of the directories above one by one: a client can make a tree so deep that dropping each within the drop of
    /// the one below would overflow the stack.
    fn drop(&mut self) {
        let mut above = self.take_parent();
        while let Some(mut node) = above.and_then(Rc::into_inner) {
            above = node.take_parent();
        }
    }
}

impl Node {
    fn take_parent(&mut self) -> Option<Rc<Self>> {
        match std::mem::replace(self.place.get_mut(), Place::Root { outside: None }) {
            Place::Entry { parent, .. } => Some(parent),
            Place::Root { .. } => None,
        }
    }
}

/// What makes the file of these attributes the same one.
pub(crate) fn id(attr: &Attr) -> FileId {
    (attr.dev, attr.ino)
}
