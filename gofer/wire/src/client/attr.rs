//! Attributes of files and file systems.

use super::Client;
use super::error::ClientError;
use super::fids::Fid;
use crate::attr::{Attr, Time};
use crate::base::getattr::{GETATTR_ALL, Rgetattr, Tgetattr};
use crate::base::setattr::{SetAttrMask, Tsetattr};
use crate::base::statfs::{Rstatfs, Tstatfs};
use crate::base::time64::Time64;
use crate::ext::statx::Tstatx;

/// What `statfs(2)` says about a file system.
pub type StatFs = Rstatfs;

/// What to set a time to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetTime {
    /// The server's present time.
    Now,
    /// This time.
    To(Time),
}

/// The attributes to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SetAttr {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Length in bytes.
    pub size: Option<u64>,
    /// Last access.
    pub atime: Option<SetTime>,
    /// Last change of the contents.
    pub mtime: Option<SetTime>,
}

impl SetAttr {
    fn request(&self, fid: Fid) -> Tsetattr {
        let mut mask = SetAttrMask::empty();
        mask.set(SetAttrMask::MODE, self.mode.is_some());
        mask.set(SetAttrMask::UID, self.uid.is_some());
        mask.set(SetAttrMask::GID, self.gid.is_some());
        mask.set(SetAttrMask::SIZE, self.size.is_some());
        mask.set(SetAttrMask::ATIME, self.atime.is_some());
        mask.set(SetAttrMask::MTIME, self.mtime.is_some());
        mask.set(SetAttrMask::ATIME_SET, matches!(self.atime, Some(SetTime::To(_))));
        mask.set(SetAttrMask::MTIME_SET, matches!(self.mtime, Some(SetTime::To(_))));
        let time = |time| match time {
            Some(SetTime::To(time)) => Time64::from(time),
            Some(SetTime::Now) | None => Time64::default(),
        };
        Tsetattr {
            fid: fid.0,
            valid: mask.bits(),
            mode: self.mode.unwrap_or(0),
            uid: self.uid.unwrap_or(0),
            gid: self.gid.unwrap_or(0),
            size: self.size.unwrap_or(0),
            atime: time(self.atime),
            mtime: time(self.mtime),
        }
    }
}

impl Client {
    /// The attributes of a file. From a standard server `dev` is 0.
    pub fn getattr(&mut self, fid: Fid) -> Result<Attr, ClientError> {
        if self.has_extensions {
            return Ok(self.call(&Tstatx { fid: fid.0 })?.attr);
        }
        let reply = self.call(&Tgetattr { fid: fid.0, request_mask: GETATTR_ALL })?;
        Ok(Attr::from(&reply))
    }

    /// Changes attributes.
    pub fn setattr(&mut self, fid: Fid, attr: &SetAttr) -> Result<(), ClientError> {
        self.call(&attr.request(fid))?;
        Ok(())
    }

    /// Describes the file system that holds the file.
    pub fn statfs(&mut self, fid: Fid) -> Result<StatFs, ClientError> {
        self.call(&Tstatfs { fid: fid.0 })
    }
}

impl From<&Rgetattr> for Attr {
    fn from(reply: &Rgetattr) -> Self {
        Self {
            mode: reply.mode,
            uid: reply.uid,
            gid: reply.gid,
            nlink: u32::try_from(reply.nlink).unwrap_or(u32::MAX),
            rdev: reply.rdev,
            size: reply.size,
            blksize: u32::try_from(reply.blksize).unwrap_or(u32::MAX),
            blocks: reply.blocks,
            atime: reply.atime.into(),
            mtime: reply.mtime.into(),
            ctime: reply.ctime.into(),
            btime: reply.btime.into(),
            ino: reply.qid.path,
            dev: 0,
        }
    }
}
