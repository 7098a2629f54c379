//! Attributes: the gofer's form, the host's form, and the kernel's.

use std::os::fd::BorrowedFd;

use cloister_9p::client::{SetAttr, SetTime};
use cloister_9p::{Attr, Time};
use rustix::fs::{fstat, major, minor};

use crate::error::Errno;
use crate::fs::{AttributeChange, Attributes, Change, FileKind, Timestamp};

/// What makes a file the same one: device and inode number on the host.
pub(super) type FileId = (u64, u64);

/// Returns the number of an inode in its file system, in which the host may have several mounted: numbers of those other
/// than the root's are mixed with their device's, and then unlikely, not impossible, to be another's too.
pub(super) fn inode_number(id: FileId, root_device: u64) -> u64 {
    /// An odd number with well-spread bits: 2^64 divided by the golden ratio.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let (device, inode) = id;
    if device == root_device { inode } else { inode ^ device.wrapping_add(1).wrapping_mul(SPREAD) }
}

/// Returns what the guest sees of the attributes.
pub(super) fn to_attributes(attr: &Attr, kind: FileKind, root_device: u64) -> Attributes {
    Attributes {
        inode: inode_number((attr.dev, attr.ino), root_device),
        kind,
        permissions: attr.mode & 0o7777,
        links: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        device: (major(attr.rdev), minor(attr.rdev)),
        size: attr.size,
        blocks: attr.blocks,
        block_bytes: attr.blksize,
        accessed: to_timestamp(attr.atime),
        modified: to_timestamp(attr.mtime),
        changed: to_timestamp(attr.ctime),
        created: (attr.btime != Time::default()).then(|| to_timestamp(attr.btime)),
    }
}

/// Brings attributes up to date by a descriptor of the file; but for the owner, whom the kernel sees by the few ids of its
/// own user namespace, and who changes only by requests.
pub(super) fn refresh(attr: &mut Attr, host: BorrowedFd<'_>) -> Result<(), Errno> {
    let stat = fstat(host).map_err(from_host)?;
    let time = |sec, nsec| Time { sec, nsec: u32::try_from(nsec).unwrap_or(0) };
    *attr = Attr {
        mode: stat.st_mode,
        nlink: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
        size: stat.st_size.cast_unsigned(),
        blksize: u32::try_from(stat.st_blksize).unwrap_or(4096),
        blocks: stat.st_blocks.cast_unsigned(),
        atime: time(stat.st_atime, stat.st_atime_nsec),
        mtime: time(stat.st_mtime, stat.st_mtime_nsec),
        ctime: time(stat.st_ctime, stat.st_ctime_nsec),
        ..*attr
    };
    Ok(())
}

/// Returns the request of a change.
pub(super) fn to_request(change: &AttributeChange) -> SetAttr {
    let time = |change: Change| match change {
        Change::Now => SetTime::Now,
        Change::To(Timestamp { seconds, nanoseconds }) => {
            SetTime::To(Time { sec: seconds, nsec: nanoseconds })
        }
    };
    SetAttr {
        mode: change.permissions,
        uid: change.uid,
        gid: change.gid,
        size: change.size,
        atime: change.accessed.map(time),
        mtime: change.modified.map(time),
    }
}

fn to_timestamp(time: Time) -> Timestamp {
    Timestamp { seconds: time.sec, nanoseconds: time.nsec }
}

/// Returns the kernel's form of a host error.
pub(super) fn from_host(errno: rustix::io::Errno) -> Errno {
    Errno::from_raw(errno.raw_os_error())
}
