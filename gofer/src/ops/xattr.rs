//! Extended attributes: the standard's `Txattrwalk` and `Txattrcreate`, and requests of our own that need no fid.

use cloister_9p::base::xattrcreate::{Rxattrcreate, Txattrcreate};
use cloister_9p::base::xattrwalk::{Rxattrwalk, Txattrwalk};
use cloister_9p::codec::Data;
use cloister_9p::ext::getxattr::{Rgetxattr, Tgetxattr};
use cloister_9p::ext::listxattr::{Rlistxattr, Tlistxattr};
use cloister_9p::ext::removexattr::{Rremovexattr, Tremovexattr};
use cloister_9p::ext::setxattr::{Rsetxattr, Tsetxattr};
use rustix::fs::{FileType, OFlags, XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr};
use rustix::io::Errno;

use crate::Result;
use crate::fid::{Fid, Open, XattrSink};
use crate::node::Node;
use crate::session::{Answer, Session};

/// Linux' limit for a value and for a list of names (`xattr(7)`).
const XATTR_SIZE_MAX: usize = 65536;

/// True for the attributes that mean the same to guest and host.
///
/// Others say things to the host's kernel about the host (`trusted.`, labels of security modules): a guest neither reads
/// nor writes them.
fn is_served(name: &[u8]) -> bool {
    name.starts_with(b"user.")
        || matches!(name, b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default")
}

fn check(name: &[u8]) -> Result<()> {
    if is_served(name) { Ok(()) } else { Err(Errno::OPNOTSUPP) }
}

/// True if the host can be asked: only what may be opened has attributes of the kinds served.
fn has_xattrs(node: &Node) -> bool {
    matches!(node.kind(), FileType::RegularFile | FileType::Directory)
}

fn get(node: &Node, name: &[u8]) -> Result<Vec<u8>> {
    check(name)?;
    if !has_xattrs(node) {
        return Err(Errno::NODATA);
    }
    let fd = node.open(OFlags::RDONLY)?;
    let mut value = vec![0; XATTR_SIZE_MAX];
    let len = fgetxattr(fd, name, &mut value[..])?;
    value.truncate(len);
    Ok(value)
}

fn list(node: &Node) -> Result<Vec<u8>> {
    if !has_xattrs(node) {
        return Ok(Vec::new());
    }
    let fd = node.open(OFlags::RDONLY)?;
    let mut names = vec![0; XATTR_SIZE_MAX];
    let len = flistxattr(fd, &mut names[..])?;
    names.truncate(len);
    Ok(names.split_inclusive(|&byte| byte == 0).filter(|name| is_served(name)).flatten().copied().collect())
}

fn set(node: &Node, name: &[u8], value: &[u8], raw_flags: u32) -> Result<()> {
    check(name)?;
    let flags = XattrFlags::from_bits(raw_flags).ok_or(Errno::INVAL)?;
    if !has_xattrs(node) {
        return Err(Errno::PERM);
    }
    fsetxattr(node.open(OFlags::RDONLY)?, name, value, flags)
}

fn remove(node: &Node, name: &[u8]) -> Result<()> {
    check(name)?;
    if !has_xattrs(node) {
        return Err(Errno::NODATA);
    }
    fremovexattr(node.open(OFlags::RDONLY)?, name)
}

impl XattrSink {
    /// Takes the next part of the value; parts must come in order.
    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<usize> {
        if offset != self.value.len() as u64 || bytes.len() > self.size.saturating_sub(self.value.len()) {
            return Err(Errno::INVAL);
        }
        self.value.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Sets the attribute, or removes it if its size was given as 0 and it was to be replaced, as v9fs asks for it.
    pub(crate) fn commit(&self, node: &Node) -> Result<()> {
        if self.value.len() != self.size {
            return Err(Errno::INVAL);
        }
        if self.size == 0 && self.flags == XattrFlags::REPLACE.bits() {
            return remove(node, &self.name);
        }
        set(node, &self.name, &self.value, self.flags)
    }
}

impl Session {
    /// Makes a fid from which a value or the list of names is read.
    pub(crate) fn xattrwalk(&mut self, request: &Txattrwalk<'_>, answer: &mut Answer<'_>) -> Result<()> {
        let fid = self.fids.get(request.fid)?;
        self.fids.check_xattr_room()?;
        let value = if request.name.is_empty() { list(&fid.node)? } else { get(&fid.node, request.name)? };
        let size = value.len() as u64;
        let mut fid = Fid::new(std::rc::Rc::clone(&fid.node), fid.uid);
        fid.open = Open::XattrValue(value);
        self.fids.insert(request.newfid, fid)?;
        answer.with(&Rxattrwalk { size })
    }

    /// Makes a fid one to which a value is written.
    pub(crate) fn xattrcreate(&mut self, request: &Txattrcreate<'_>, answer: &mut Answer<'_>) -> Result<()> {
        self.check_writable()?;
        check(request.name)?;
        self.fids.check_xattr_room()?;
        let size = usize::try_from(request.attr_size).ok().filter(|&size| size <= XATTR_SIZE_MAX);
        let size = size.ok_or(Errno::TOOBIG)?;
        let fid = self.fids.get_mut(request.fid)?;
        if !matches!(fid.open, Open::Nothing) {
            return Err(Errno::BADF);
        }
        let name = request.name.into();
        fid.open = Open::XattrSink(XattrSink { name, flags: request.flags, size, value: Vec::new() });
        answer.with(&Rxattrcreate {})
    }

    /// Reads a value.
    pub(crate) fn getxattr(&mut self, request: &Tgetxattr<'_>, answer: &mut Answer<'_>) -> Result<()> {
        let value = get(self.fids.node(request.fid)?, request.name)?;
        answer.with(&Rgetxattr { value: Data(&value) })
    }

    /// Sets a value.
    pub(crate) fn setxattr(&mut self, request: &Tsetxattr<'_>, answer: &mut Answer<'_>) -> Result<()> {
        self.check_writable()?;
        set(self.fids.node(request.fid)?, request.name, request.value.0, request.flags)?;
        answer.with(&Rsetxattr {})
    }

    /// Lists the names.
    pub(crate) fn listxattr(&mut self, request: &Tlistxattr, answer: &mut Answer<'_>) -> Result<()> {
        let names = list(self.fids.node(request.fid)?)?;
        answer.with(&Rlistxattr { names: Data(&names) })
    }

    /// Removes an attribute.
    pub(crate) fn removexattr(&mut self, request: &Tremovexattr<'_>, answer: &mut Answer<'_>) -> Result<()> {
        self.check_writable()?;
        remove(self.fids.node(request.fid)?, request.name)?;
        answer.with(&Rremovexattr {})
    }
}
