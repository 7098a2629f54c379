//! The fids of a connection.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::io::Errno;

use crate::Result;
use crate::node::Node;

/// The most fids that a connection may have. Each holds one descriptor, or two when open; the process' own limit of
/// descriptors bounds all connections together.
const MAX_FIDS: usize = 65536;

/// The most fids that may hold the value of an extended attribute, which is memory of ours.
const MAX_XATTR_FIDS: usize = 64;

/// What a fid has open, by the standard's requests.
#[derive(Debug)]
pub(crate) enum Open {
    /// Nothing.
    Nothing,
    /// A regular file.
    File(OwnedFd),
    /// A directory, and the position in its listing.
    Dir(DirStream),
    /// The value of an extended attribute, or the list of their names, to be read.
    XattrValue(Vec<u8>),
    /// The value of an extended attribute that is being written; the clunk sets it.
    XattrSink(XattrSink),
}

/// A directory that is being listed.
#[derive(Debug)]
pub(crate) struct DirStream {
    /// The descriptor.
    pub(crate) fd: OwnedFd,
    /// The offset at which the host goes on.
    pub(crate) position: u64,
    /// It was opened by the listing itself, at whose end it is closed.
    pub(crate) is_implicit: bool,
}

/// An extended attribute to be set.
#[derive(Debug)]
pub(crate) struct XattrSink {
    /// The attribute.
    pub(crate) name: Box<[u8]>,
    /// `XATTR_CREATE`, `XATTR_REPLACE`.
    pub(crate) flags: u32,
    /// How long the value is to be.
    pub(crate) size: usize,
    /// What has come of it.
    pub(crate) value: Vec<u8>,
}

/// What a fid stands for.
#[derive(Debug)]
pub(crate) struct Fid {
    /// The file.
    pub(crate) node: Rc<Node>,
    /// What it has open.
    pub(crate) open: Open,
    /// The user of the attach, who owns what is made by the standard's requests.
    pub(crate) uid: Option<u32>,
}

impl Fid {
    /// A fid that has nothing open.
    pub(crate) fn new(node: Rc<Node>, uid: Option<u32>) -> Self {
        Self { node, open: Open::Nothing, uid }
    }

    fn holds_xattr(&self) -> bool {
        matches!(self.open, Open::XattrValue(_) | Open::XattrSink(_))
    }
}

/// All fids of a connection.
#[derive(Debug, Default)]
pub(crate) struct Fids(HashMap<u32, Fid>);

impl Fids {
    /// What a fid stands for.
    ///
    /// # Errors
    ///
    /// `EBADF` if nothing.
    pub(crate) fn get(&self, number: u32) -> Result<&Fid> {
        self.0.get(&number).ok_or(Errno::BADF)
    }

    /// As [`Fids::get`], to be changed.
    pub(crate) fn get_mut(&mut self, number: u32) -> Result<&mut Fid> {
        self.0.get_mut(&number).ok_or(Errno::BADF)
    }

    /// The file of a fid.
    pub(crate) fn node(&self, number: u32) -> Result<&Rc<Node>> {
        self.get(number).map(|fid| &fid.node)
    }

    /// Checks that `extra` more fids are allowed.
    ///
    /// # Errors
    ///
    /// `EMFILE` if not.
    pub(crate) fn check_room(&self, extra: usize) -> Result<()> {
        if self.0.len().saturating_add(extra) > MAX_FIDS { Err(Errno::MFILE) } else { Ok(()) }
    }

    /// Checks that one more fid may hold an extended attribute.
    ///
    /// # Errors
    ///
    /// `EMFILE` if not.
    pub(crate) fn check_xattr_room(&self) -> Result<()> {
        let held = self.0.values().filter(|fid| fid.holds_xattr()).count();
        if held >= MAX_XATTR_FIDS { Err(Errno::MFILE) } else { Ok(()) }
    }

    /// True if the fid stands for something.
    pub(crate) fn contains(&self, number: u32) -> bool {
        self.0.contains_key(&number)
    }

    /// Gives a new fid its meaning.
    ///
    /// # Errors
    ///
    /// `EBADF` if it has one already or is the reserved number; `EMFILE` if there are too many.
    pub(crate) fn insert(&mut self, number: u32, fid: Fid) -> Result<()> {
        self.check_room(1)?;
        if number == cloister_9p::NO_FID {
            return Err(Errno::BADF);
        }
        match self.0.entry(number) {
            Entry::Occupied(_) => Err(Errno::BADF),
            Entry::Vacant(vacant) => {
                vacant.insert(fid);
                Ok(())
            }
        }
    }

    /// Forgets a fid.
    pub(crate) fn remove(&mut self, number: u32) -> Result<Fid> {
        self.0.remove(&number).ok_or(Errno::BADF)
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The files of all fids, some more than once.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Rc<Node>> {
        self.0.values().map(|fid| &fid.node)
    }
}
