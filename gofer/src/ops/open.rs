//! `Tlopen` and `TopenFd`.

use std::os::fd::OwnedFd;

use cloister_9p::base::lopen::{Rlopen, Tlopen};
use cloister_9p::ext::open_fd::{RopenFd, TopenFd};
use cloister_9p::ext::walk_attr::NO_OPEN;
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use crate::Result;
use crate::fid::{DirStream, Open};
use crate::node::Node;
use crate::session::{Answer, Session};

impl Session {
    /// Opens a file or directory for the standard's reads, writes and listings.
    pub(crate) fn lopen(&mut self, request: &Tlopen, answer: &mut Answer<'_>) -> Result<()> {
        let fid = self.fids.get(request.fid)?;
        if !matches!(fid.open, Open::Nothing) {
            return Err(Errno::BADF);
        }
        let flags = OFlags::from_bits_retain(request.flags);
        if flags.contains(OFlags::DIRECTORY) && !fid.node.is_dir() {
            return Err(Errno::NOTDIR);
        }
        let fd = self.open_node(&fid.node, flags)?;
        let attr = fid.node.attr()?;
        let open = if attr.is_dir() {
            Open::Dir(DirStream { fd, position: 0, is_implicit: false })
        } else {
            Open::File(fd)
        };
        self.fids.get_mut(request.fid)?.open = open;
        answer.with(&Rlopen { qid: self.qid(&attr), iounit: 0 })
    }

    /// Opens a regular file and hands the descriptor over.
    ///
    /// Never one of a directory: it would be a way out of the gofer's root by `..`.
    pub(crate) fn open_fd(&mut self, request: &TopenFd, answer: &mut Answer<'_>) -> Result<()> {
        let node = self.fids.node(request.fid)?;
        if node.is_dir() {
            return Err(Errno::ISDIR);
        }
        let fd = self.open_node(node, OFlags::from_bits_retain(request.flags))?;
        answer.with_fd(&RopenFd {}, fd)
    }

    /// Opens the end of a walk if it is a regular file and `raw_flags` asks for it.
    pub(crate) fn open_end(&self, node: &Node, raw_flags: u32) -> Option<Result<OwnedFd>> {
        let is_wanted = raw_flags != NO_OPEN && node.kind() == FileType::RegularFile;
        is_wanted.then(|| self.open_node(node, OFlags::from_bits_retain(raw_flags)))
    }

    fn open_node(&self, node: &Node, flags: OFlags) -> Result<OwnedFd> {
        if flags.intersects(OFlags::WRONLY | OFlags::RDWR | OFlags::TRUNC) {
            self.check_writable()?;
        }
        node.open(flags)
    }
}
