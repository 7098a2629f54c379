//! The attributes of a file, as the extensions carry them.

use crate::codec::struct_field;

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time {
    /// Seconds since the epoch.
    pub sec: i64,
    /// Nanoseconds of the second, below 1,000,000,000.
    pub nsec: u32,
}
struct_field!(Time { sec, nsec });

/// What `statx(2)` says about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attr {
    /// File type and permission bits (`inode(7)`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Number of hard links.
    pub nlink: u32,
    /// The device that a device node stands for, encoded as in glibc's `makedev(3)`.
    pub rdev: u64,
    /// Length in bytes.
    pub size: u64,
    /// Preferred block size.
    pub blksize: u32,
    /// Allocated units of 512 bytes.
    pub blocks: u64,
    /// Last access.
    pub atime: Time,
    /// Last change of the contents.
    pub mtime: Time,
    /// Last change of the attributes.
    pub ctime: Time,
    /// Creation; zero where the file system does not know.
    pub btime: Time,
    /// Inode number, unique within `dev`.
    pub ino: u64,
    /// The device that holds the file, encoded as in glibc's `makedev(3)`.
    pub dev: u64,
}
struct_field!(Attr {
    mode,
    uid,
    gid,
    nlink,
    rdev,
    size,
    blksize,
    blocks,
    atime,
    mtime,
    ctime,
    btime,
    ino,
    dev
});

impl Attr {
    /// The mask of the file type in `mode`.
    pub const TYPE_MASK: u32 = 0o170_000;
    /// The type of a directory.
    pub const DIRECTORY: u32 = 0o040_000;
    /// The type of a regular file.
    pub const REGULAR: u32 = 0o100_000;
    /// The type of a symbolic link.
    pub const SYMLINK: u32 = 0o120_000;

    /// The file type bits of `mode`.
    pub fn file_type(&self) -> u32 {
        self.mode & Self::TYPE_MASK
    }

    /// True for a directory.
    pub fn is_dir(&self) -> bool {
        self.file_type() == Self::DIRECTORY
    }

    /// True for a regular file.
    pub fn is_regular(&self) -> bool {
        self.file_type() == Self::REGULAR
    }

    /// True for a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.file_type() == Self::SYMLINK
    }
}
