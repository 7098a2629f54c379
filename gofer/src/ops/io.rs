//! `Tread`, `Twrite` and `Tfsync`.

use std::os::fd::{AsFd, OwnedFd};

use cloister_9p::base::fsync::{Rfsync, Tfsync};
use cloister_9p::base::read::{Rread, Tread};
use cloister_9p::base::write::{Rwrite, Twrite};
use cloister_9p::codec::Data;
use cloister_9p::ext::syncfs::{Rsyncfs, Tsyncfs};
use rustix::fs::{OFlags, fdatasync, fsync};
use rustix::io::{Errno, pread, pwrite};

use crate::Result;
use crate::fid::Open;
use crate::session::{Answer, Session};

impl Session {
    /// Reads from an open file, or from the value of an extended attribute.
    pub(crate) fn read(&mut self, request: &Tread, answer: &mut Answer<'_>) -> Result<()> {
        let wanted = self.payload(request.count);
        match &self.fids.get(request.fid)?.open {
            Open::File(fd) => {
                // The buffer keeps its length between requests, so that it is cleared once and not each time.
                if self.scratch.len() < wanted {
                    self.scratch.resize(wanted, 0);
                }
                let room = self.scratch.get_mut(..wanted).unwrap_or_default();
                let count = pread(fd, room, request.offset)?;
                answer.with(&Rread { data: Data(self.scratch.get(..count).unwrap_or_default()) })
            }
            Open::XattrValue(value) => {
                let start = usize::try_from(request.offset).unwrap_or(usize::MAX);
                let rest = value.get(start..).unwrap_or_default();
                answer.with(&Rread { data: Data(rest.get(..wanted).unwrap_or(rest)) })
            }
            Open::Dir(_) => Err(Errno::ISDIR),
            Open::Nothing | Open::XattrSink(_) => Err(Errno::BADF),
        }
    }

    /// Writes to an open file, or to the value of an extended attribute.
    pub(crate) fn write(&mut self, request: &Twrite<'_>, answer: &mut Answer<'_>) -> Result<()> {
        let bytes = request.data.0;
        let count = match &mut self.fids.get_mut(request.fid)?.open {
            Open::File(fd) => pwrite(fd, bytes, request.offset)?,
            Open::XattrSink(sink) => sink.write(request.offset, bytes)?,
            Open::Dir(_) => return Err(Errno::ISDIR),
            Open::Nothing | Open::XattrValue(_) => return Err(Errno::BADF),
        };
        answer.with(&Rwrite { count: u32::try_from(count).map_err(|_| Errno::OVERFLOW)? })
    }

    /// Puts the file system of a file or directory to stable storage.
    pub(crate) fn syncfs(&mut self, request: &Tsyncfs, answer: &mut Answer<'_>) -> Result<()> {
        rustix::fs::syncfs(self.fids.node(request.fid)?.open(OFlags::RDONLY)?)?;
        answer.with(&Rsyncfs {})
    }

    /// Puts a file or directory, open or not, to stable storage.
    pub(crate) fn fsync(&mut self, request: &Tfsync, answer: &mut Answer<'_>) -> Result<()> {
        let fid = self.fids.get(request.fid)?;
        let reopened: OwnedFd;
        let fd = match &fid.open {
            Open::File(fd) => fd.as_fd(),
            Open::Dir(stream) => stream.fd.as_fd(),
            Open::Nothing | Open::XattrValue(_) | Open::XattrSink(_) => {
                reopened = fid.node.open(OFlags::RDONLY)?;
                reopened.as_fd()
            }
        };
        match request.datasync {
            0 => fsync(fd)?,
            _ => fdatasync(fd)?,
        }
        answer.with(&Rfsync {})
    }
}
