//! Describes the file system of a file (`statfs(2)`).

use crate::message::exchange;

exchange! {
    /// Asks about the file system.
    Tstatfs = 8 {
        /// Any file in it.
        fid: u32,
    }
    /// Answers as `statfs(2)` does.
    Rstatfs = 9 {
        /// The type of the file system.
        kind: u32,
        /// The block size.
        bsize: u32,
        /// All blocks.
        blocks: u64,
        /// Free blocks.
        bfree: u64,
        /// Free blocks for unprivileged users.
        bavail: u64,
        /// All inodes.
        files: u64,
        /// Free inodes.
        ffree: u64,
        /// The id of the file system.
        fsid: u64,
        /// The longest name.
        namelen: u32,
    }
}
