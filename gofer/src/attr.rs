//! Attributes as the host gives them and as messages carry them.

use std::ffi::CStr;
use std::os::fd::AsFd;

use cloister_9p::{Attr, Qid, Time};
use rustix::fs::{AtFlags, Statx, StatxFlags, StatxTimestamp, makedev, statx};

use crate::Result;

/// The attributes of an open file or of a path descriptor.
pub(crate) fn of(fd: impl AsFd) -> Result<Attr> {
    at(fd, c"", AtFlags::EMPTY_PATH)
}

/// The attributes of an entry, of a symbolic link itself.
pub(crate) fn of_entry(dir: impl AsFd, name: &CStr) -> Result<Attr> {
    at(dir, name, AtFlags::SYMLINK_NOFOLLOW)
}

fn at(fd: impl AsFd, path: &CStr, flags: AtFlags) -> Result<Attr> {
    let mask = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    Ok(convert(&statx(fd, path, flags | AtFlags::NO_AUTOMOUNT, mask)?))
}

fn convert(stat: &Statx) -> Attr {
    Attr {
        mode: u32::from(stat.stx_mode),
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        nlink: stat.stx_nlink,
        rdev: makedev(stat.stx_rdev_major, stat.stx_rdev_minor),
        size: stat.stx_size,
        blksize: stat.stx_blksize,
        blocks: stat.stx_blocks,
        atime: time(&stat.stx_atime),
        mtime: time(&stat.stx_mtime),
        ctime: time(&stat.stx_ctime),
        btime: time(&stat.stx_btime),
        ino: stat.stx_ino,
        dev: makedev(stat.stx_dev_major, stat.stx_dev_minor),
    }
}

fn time(time: &StatxTimestamp) -> Time {
    Time { sec: time.tv_sec, nsec: time.tv_nsec }
}

/// The standard's identification of a file.
///
/// The path is the inode number, as with other servers. Where several file systems are mounted in a tree, numbers of the
/// others are mixed with the device's number: equal paths are then unlikely, not impossible. `Tstatx` has both numbers.
pub(crate) fn qid(attr: &Attr, root_dev: u64) -> Qid {
    /// An odd constant with well-spread bits (2^64 divided by the golden ratio).
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let kind = match attr.file_type() {
        Attr::DIRECTORY => Qid::DIR,
        Attr::SYMLINK => Qid::SYMLINK,
        _ => Qid::FILE,
    };
    let path = if attr.dev == root_dev {
        attr.ino
    } else {
        attr.ino ^ attr.dev.wrapping_add(1).wrapping_mul(SPREAD)
    };
    Qid { kind, version: 0, path }
}
