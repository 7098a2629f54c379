//! What is served.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::Result;
use crate::node::Node;

/// Whether clients may change a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Every modification is refused with `EROFS`.
    ReadOnly,
    /// They may.
    ReadWrite,
}

/// A directory with all that is beneath it, or a single file.
#[derive(Debug)]
pub struct Tree {
    path: PathBuf,
    access: Access,
    root: Rc<Node>,
}

impl Tree {
    /// Opens the tree at `path`, following symbolic links in it.
    pub fn open(path: &Path, access: Access) -> Result<Self> {
        let root = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let root = Rc::new(Node::root(root, Self::outside(path)?)?);
        Ok(Self { path: path.to_owned(), access, root })
    }

    /// Where to open the root anew, which a root that is a single file needs.
    fn outside(path: &Path) -> Result<Option<(OwnedFd, Box<[u8]>)>> {
        let path = path
            .canonicalize()
            .map_err(|error| rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO))?;
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
        let parent = openat(CWD, parent, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Some((parent, name.as_bytes().into())))
    }

    /// The root.
    pub(crate) fn root(&self) -> &Rc<Node> {
        &self.root
    }

    /// Whether clients may change the tree.
    pub fn access(&self) -> Access {
        self.access
    }

    /// True if `aname` of an attach names this tree: by its path, or as the only one.
    pub(crate) fn is_named(&self, aname: &[u8]) -> bool {
        matches!(aname, b"" | b"/") || OsStr::from_bytes(aname) == self.path.as_os_str()
    }
}
