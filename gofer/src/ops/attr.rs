//! `Tgetattr`, `Tstatx`, `Tsetattr` and `Tstatfs`.

use std::os::fd::BorrowedFd;
use std::rc::Rc;

use cloister_9p::Attr;
use cloister_9p::base::getattr::{GETATTR_BASIC, GETATTR_BTIME, Rgetattr, Tgetattr};
use cloister_9p::base::setattr::{Rsetattr, SetAttrMask, Tsetattr};
use cloister_9p::base::statfs::{Rstatfs, Tstatfs};
use cloister_9p::base::time64::Time64;
use cloister_9p::ext::statx::{Rstatx, Tstatx};
use rustix::fs::{
    AtFlags, FileType, Gid, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, Uid, chownat, fstatfs,
    ftruncate, utimensat,
};
use rustix::io::Errno;

use crate::fid::Open;
use crate::session::{Answer, Session};
use crate::{Result, attr, sys};

/// The owners and permission bits that a new file is to have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ownership {
    /// The owner; `None` for whoever the gofer is.
    pub(super) uid: Option<u32>,
    /// The group; `None` for what the directory gives it.
    pub(super) gid: Option<u32>,
    /// The permission bits.
    pub(super) mode: u32,
}

/// Gives a new file its owners and permission bits, and says what it has then.
pub(super) fn set_ownership(fd: BorrowedFd<'_>, wanted: Ownership) -> Result<Attr> {
    let mut attr = attr::of(fd)?;
    let uid = wanted.uid.filter(|&uid| uid != attr.uid);
    let gid = wanted.gid.filter(|&gid| gid != attr.gid);
    let has_new_owner = uid.is_some() || gid.is_some();
    if has_new_owner {
        chown(fd, uid, gid)?;
    }
    let mode = wanted.mode & 0o7777;
    // A change of owner takes the set-id bits away; a directory's default ACL may have taken others.
    let has_new_mode =
        !attr.is_symlink() && (attr.mode & 0o7777 != mode || has_new_owner && mode & 0o6000 != 0);
    if has_new_mode {
        sys::chmod(fd, mode)?;
    }
    if has_new_owner || has_new_mode {
        attr = attr::of(fd)?;
    }
    Ok(attr)
}

/// Changes owners. The value with all bits set means "leave" to the host, and is no id.
fn chown(fd: BorrowedFd<'_>, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
    if uid == Some(u32::MAX) || gid == Some(u32::MAX) {
        return Err(Errno::INVAL);
    }
    chownat(fd, c"", uid.map(Uid::from_raw), gid.map(Gid::from_raw), AtFlags::EMPTY_PATH)
}

impl Session {
    /// The attributes that `stat(2)` has, and the creation time.
    pub(crate) fn getattr(&mut self, request: &Tgetattr, answer: &mut Answer<'_>) -> Result<()> {
        let attr = self.fids.node(request.fid)?.attr()?;
        answer.with(&Rgetattr {
            valid: GETATTR_BASIC | GETATTR_BTIME,
            qid: self.qid(&attr),
            mode: attr.mode,
            uid: attr.uid,
            gid: attr.gid,
            nlink: u64::from(attr.nlink),
            rdev: attr.rdev,
            size: attr.size,
            blksize: u64::from(attr.blksize),
            blocks: attr.blocks,
            atime: attr.atime.into(),
            mtime: attr.mtime.into(),
            ctime: attr.ctime.into(),
            btime: attr.btime.into(),
            generation: 0,
            data_version: 0,
        })
    }

    /// All attributes that the host has.
    pub(crate) fn statx(&mut self, request: &Tstatx, answer: &mut Answer<'_>) -> Result<()> {
        let attr = self.fids.node(request.fid)?.attr()?;
        answer.with(&Rstatx { attr })
    }

    /// Changes attributes: owners before permission bits, which a change of owner would alter, and times last, which a
    /// truncation would.
    pub(crate) fn setattr(&mut self, request: &Tsetattr, answer: &mut Answer<'_>) -> Result<()> {
        self.check_writable()?;
        let mask = SetAttrMask::from_bits(request.valid).ok_or(Errno::INVAL)?;
        let node = Rc::clone(self.fids.node(request.fid)?);
        let uid = mask.contains(SetAttrMask::UID).then_some(request.uid);
        let gid = mask.contains(SetAttrMask::GID).then_some(request.gid);
        if uid.is_some() || gid.is_some() {
            chown(node.fd(), uid, gid)?;
        }
        if mask.contains(SetAttrMask::MODE) {
            sys::chmod(node.fd(), request.mode & 0o7777)?;
        }
        if mask.contains(SetAttrMask::SIZE) {
            self.truncate(request.fid, request.size)?;
        }
        if mask.intersects(SetAttrMask::ATIME | SetAttrMask::MTIME) {
            let times = Timestamps {
                last_access: time(mask, SetAttrMask::ATIME, SetAttrMask::ATIME_SET, request.atime)?,
                last_modification: time(mask, SetAttrMask::MTIME, SetAttrMask::MTIME_SET, request.mtime)?,
            };
            utimensat(node.fd(), c"", &times, AtFlags::EMPTY_PATH)?;
        }
        answer.with(&Rsetattr {})
    }

    fn truncate(&self, fid: u32, size: u64) -> Result<()> {
        let fid = self.fids.get(fid)?;
        if let Open::File(fd) = &fid.open {
            match ftruncate(fd, size) {
                // It is open for reading only.
                Err(Errno::INVAL | Errno::BADF) => {}
                other => return other,
            }
        }
        match fid.node.kind() {
            FileType::RegularFile => ftruncate(fid.node.open(OFlags::WRONLY)?, size),
            FileType::Directory => Err(Errno::ISDIR),
            _ => Err(Errno::INVAL),
        }
    }

    /// Describes the file system of a file.
    pub(crate) fn statfs(&mut self, request: &Tstatfs, answer: &mut Answer<'_>) -> Result<()> {
        let stat = fstatfs(self.fids.node(request.fid)?.fd())?;
        let root_dev = self.tree.root().id().0;
        answer.with(&Rstatfs {
            kind: u32::try_from(stat.f_type).unwrap_or(0),
            bsize: u32::try_from(stat.f_bsize).unwrap_or(4096),
            blocks: stat.f_blocks,
            bfree: stat.f_bfree,
            bavail: stat.f_bavail,
            files: stat.f_files,
            ffree: stat.f_ffree,
            fsid: root_dev,
            namelen: u32::try_from(stat.f_namelen).unwrap_or(255),
        })
    }
}

/// What `utimensat(2)` is told for one of the times.
fn time(mask: SetAttrMask, change: SetAttrMask, exact: SetAttrMask, time: Time64) -> Result<Timespec> {
    let special = |tv_nsec| Ok(Timespec { tv_sec: 0, tv_nsec });
    if !mask.contains(change) {
        return special(UTIME_OMIT);
    }
    if !mask.contains(exact) {
        return special(UTIME_NOW);
    }
    if time.nsec >= 1_000_000_000 {
        return Err(Errno::INVAL);
    }
    let tv_nsec = i64::try_from(time.nsec).map_err(|_| Errno::INVAL)?;
    Ok(Timespec { tv_sec: time.sec.cast_signed(), tv_nsec })
}
