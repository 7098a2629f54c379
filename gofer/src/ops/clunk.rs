//! `Tclunk`, `TclunkMany` and `Tremove`.

use cloister_9p::base::clunk::{Rclunk, Tclunk};
use cloister_9p::base::remove::{Rremove, Tremove};
use cloister_9p::ext::clunk_many::{RclunkMany, TclunkMany};
use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

use crate::Result;
use crate::fid::Open;
use crate::session::{Answer, Session};

impl Session {
    /// Forgets a fid, and sets the extended attribute that was written to it.
    pub(crate) fn clunk(&mut self, request: &Tclunk, answer: &mut Answer<'_>) -> Result<()> {
        let fid = self.fids.remove(request.fid)?;
        if let Open::XattrSink(sink) = fid.open {
            sink.commit(&fid.node)?;
        }
        answer.with(&Rclunk {})
    }

    /// Forgets many fids. Extended attributes on their way are given up: they belong to the standard's requests.
    pub(crate) fn clunk_many(&mut self, request: &TclunkMany, answer: &mut Answer<'_>) -> Result<()> {
        for &fid in &request.fids.0 {
            // The caller says which it has no more; which of them we had is of no matter.
            let _ = self.fids.remove(fid);
        }
        answer.with(&RclunkMany {})
    }

    /// Removes a file by its fid, which is forgotten even if that fails.
    pub(crate) fn remove(&mut self, request: &Tremove, answer: &mut Answer<'_>) -> Result<()> {
        let fid = self.fids.remove(request.fid)?;
        self.check_writable()?;
        let (dir, name) = fid.node.entry().ok_or(Errno::BUSY)?;
        let flags = if fid.node.is_dir() { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        unlinkat(dir.fd(), &*name, flags)?;
        answer.with(&Rremove {})
    }
}
