//! Asks for a file's attributes (`stat(2)`).

use super::time64::Time64;
use crate::message::exchange;
use crate::qid::Qid;

/// The attributes of `stat(2)`: everything before `btime`.
pub const GETATTR_BASIC: u64 = 0x7ff;
/// All attributes.
pub const GETATTR_ALL: u64 = 0x3fff;
/// The bit of `btime`.
pub const GETATTR_BTIME: u64 = 0x800;

exchange! {
    /// Asks for attributes.
    Tgetattr = 24 {
        /// The file.
        fid: u32,
        /// The attributes wanted.
        request_mask: u64,
    }
    /// Answers.
    Rgetattr = 25 {
        /// The attributes that are valid.
        valid: u64,
        /// The file.
        qid: Qid,
        /// File type and permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Number of hard links.
        nlink: u64,
        /// The device that a device node stands for.
        rdev: u64,
        /// Length in bytes.
        size: u64,
        /// Preferred block size.
        blksize: u64,
        /// Allocated units of 512 bytes.
        blocks: u64,
        /// Last access.
        atime: Time64,
        /// Last change of the contents.
        mtime: Time64,
        /// Last change of the attributes.
        ctime: Time64,
        /// Creation.
        btime: Time64,
        /// Inode generation.
        generation: u64,
        /// Changes with the contents.
        data_version: u64,
    }
}
