//! Walking.

use std::os::fd::OwnedFd;

use super::Client;
use super::error::{ClientError, ProtocolError};
use super::fids::Fid;
use crate::MAX_WALK;
use crate::attr::Attr;
use crate::base::readlink::Treadlink;
use crate::base::walk::Twalk;
use crate::codec::List;
use crate::ext::walk_attr::{NO_OPEN, Step, TwalkAttr};

/// An element that a walk reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The fid for it, which is the caller's now.
    pub fid: Fid,
    /// Its attributes.
    pub attr: Attr,
}

/// How far a walk came.
#[derive(Debug)]
pub struct Walk {
    /// The elements reached, in order.
    pub found: Vec<Found>,
    /// Why the next element was not reached; `None` if all were. `ELOOP` says that the last element reached is a symbolic
    /// link, which the server never follows.
    pub error: Option<u32>,
    /// What the last element reached holds, if it is a symbolic link.
    pub target: Option<Vec<u8>>,
    /// The descriptor asked for, or the error of the open. `None` if there was no open, because none was asked for, the
    /// walk ended early, its end is no regular file, or the server cannot give descriptors.
    pub opened: Option<Result<OwnedFd, u32>>,
}

impl Client {
    /// Walks from `dir` along at most [`MAX_WALK`] names, none of them `.` or `..`.
    ///
    /// A walk that ends early is no error: see [`Walk::error`].
    pub fn walk_attr(&mut self, dir: Fid, names: &[&[u8]]) -> Result<Walk, ClientError> {
        self.walk_and(dir, names, NO_OPEN)
    }

    /// Walks as [`Client::walk_attr`] does and, if the end is a regular file, opens it with Linux' open flags.
    pub fn walk_open(&mut self, dir: Fid, names: &[&[u8]], flags: u32) -> Result<Walk, ClientError> {
        self.walk_and(dir, names, flags)
    }

    fn walk_and(&mut self, dir: Fid, names: &[&[u8]], open_flags: u32) -> Result<Walk, ClientError> {
        if names.len() > MAX_WALK {
            return Err(ClientError::Errno(rustix::io::Errno::NAMETOOLONG.raw_os_error().cast_unsigned()));
        }
        if !self.has_extensions {
            return self.walk_plainly(dir, names);
        }
        let mut fids = Vec::with_capacity(names.len());
        for _ in names {
            fids.push(self.allocate()?);
        }
        let steps = names.iter().zip(&fids).map(|(&name, fid)| Step { fid: fid.0, name }).collect();
        let walk = self.walk_steps(TwalkAttr { fid: dir.0, open_flags, steps: List(steps) }, &fids);
        let reached = walk.as_ref().map_or(0, |walk| walk.found.len());
        fids.iter().skip(reached).rev().for_each(|&fid| self.fids.release(fid));
        walk
    }

    #[expect(clippy::needless_pass_by_value, reason = "the request is spent")]
    fn walk_steps(&mut self, request: TwalkAttr<'_>, fids: &[Fid]) -> Result<Walk, ClientError> {
        let (reply, fd) = self.call_with_fd(&request)?;
        let complete = reply.attrs.0.len() == fids.len();
        if reply.attrs.0.len() > fids.len() || complete != (reply.errno == 0) {
            return Err(self.broken(ProtocolError::Mismatch));
        }
        let opened = match (reply.open_errno, fd) {
            (NO_OPEN, _) => None,
            (0, Some(fd)) => Some(Ok(fd)),
            (0, None) => return Err(self.broken(ProtocolError::NoDescriptor)),
            (errno, _) => Some(Err(errno)),
        };
        let found: Vec<_> =
            fids.iter().zip(&reply.attrs.0).map(|(&fid, &attr)| Found { fid, attr }).collect();
        let target = found.last().filter(|last| last.attr.is_symlink()).map(|_| reply.target.to_vec());
        Ok(Walk { found, error: (reply.errno != 0).then_some(reply.errno), target, opened })
    }

    /// Walks name by name with the standard's requests.
    fn walk_plainly(&mut self, dir: Fid, names: &[&[u8]]) -> Result<Walk, ClientError> {
        let mut walk = Walk { found: Vec::new(), error: None, target: None, opened: None };
        let mut from = dir;
        for name in names {
            if walk.target.is_some() {
                walk.error = Some(rustix::io::Errno::LOOP.raw_os_error().cast_unsigned());
                break;
            }
            match self.step_plainly(from, name) {
                Ok((found, target)) => {
                    from = found.fid;
                    walk.found.push(found);
                    walk.target = target;
                }
                Err(ClientError::Errno(errno)) => {
                    walk.error = Some(errno);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(walk)
    }

    fn step_plainly(&mut self, from: Fid, name: &[u8]) -> Result<(Found, Option<Vec<u8>>), ClientError> {
        let fid = self.walk_fid(from, &[name])?;
        let result = self.getattr(fid).and_then(|attr| {
            let target = if attr.is_symlink() { Some(self.readlink(fid)?) } else { None };
            Ok((Found { fid, attr }, target))
        });
        if result.is_err() {
            // The first error is the one to tell.
            let _ = self.clunk(fid);
        }
        result
    }

    /// Gives a fid for the end of a walk by the standard's request; with no names a second fid for `from`.
    pub(super) fn walk_fid(&mut self, from: Fid, names: &[&[u8]]) -> Result<Fid, ClientError> {
        let fid = self.allocate()?;
        let request = Twalk { fid: from.0, newfid: fid.0, names: List(names.to_vec()) };
        let (reply, _) = self.call_for_fid(&request, fid)?;
        if reply.qids.0.len() != names.len() {
            // `newfid` has got no meaning.
            self.fids.release(fid);
            return Err(ClientError::Errno(rustix::io::Errno::NOENT.raw_os_error().cast_unsigned()));
        }
        Ok(fid)
    }

    /// What a symbolic link holds (`readlink(2)`).
    pub fn readlink(&mut self, link: Fid) -> Result<Vec<u8>, ClientError> {
        Ok(self.call(&Treadlink { fid: link.0 })?.target.to_vec())
    }
}
