//! Changes a file's attributes (`chmod(2)`, `chown(2)`, `truncate(2)`, `utimensat(2)`).

use super::time64::Time64;
use crate::message::exchange;

bitflags::bitflags! {
    /// The bits of [`Tsetattr::valid`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct SetAttrMask: u32 {
        /// Set the permission bits.
        const MODE = 0x1;
        /// Set the owner.
        const UID = 0x2;
        /// Set the group.
        const GID = 0x4;
        /// Set the length.
        const SIZE = 0x8;
        /// Set the access time, to now unless `ATIME_SET`.
        const ATIME = 0x10;
        /// Set the modification time, to now unless `MTIME_SET`.
        const MTIME = 0x20;
        /// Set the change time to now, which every change does anyway.
        const CTIME = 0x40;
        /// The access time is the one in the message.
        const ATIME_SET = 0x80;
        /// The modification time is the one in the message.
        const MTIME_SET = 0x100;
    }
}

exchange! {
    /// Changes the attributes named by `valid`.
    Tsetattr = 26 {
        /// The file.
        fid: u32,
        /// Which of the fields below are meant; undefined bits are refused by the server.
        valid: u32,
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Length in bytes.
        size: u64,
        /// Last access, used if [`SetAttrMask::ATIME_SET`] is set too.
        atime: Time64,
        /// Last change of the contents, used if [`SetAttrMask::MTIME_SET`] is set too.
        mtime: Time64,
    }
    /// Confirms.
    Rsetattr = 27 {}
}
