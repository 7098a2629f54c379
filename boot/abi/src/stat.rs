//! What `stat` and its like tell (`asm/stat.h`, `linux/stat.h`, `asm/statfs.h`).

use zerocopy::{Immutable, IntoBytes};

/// `struct stat` of x86-64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, Immutable)]
#[repr(C)]
pub struct Stat {
    /// The device of the file system.
    pub dev: u64,
    /// The number of the inode.
    pub ino: u64,
    /// The number of names.
    pub nlink: u64,
    /// Kind and permissions.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Nothing.
    pub pad: u32,
    /// The device that a device node stands for.
    pub rdev: u64,
    /// The size in bytes.
    pub size: i64,
    /// The best size of reads and writes.
    pub blksize: i64,
    /// The space used, in units of 512 bytes.
    pub blocks: i64,
    /// The last access: seconds and nanoseconds.
    pub atime: [u64; 2],
    /// The last change of the contents: seconds and nanoseconds.
    pub mtime: [u64; 2],
    /// The last change of the attributes: seconds and nanoseconds.
    pub ctime: [u64; 2],
    /// Nothing.
    pub unused: [u64; 3],
}

/// `struct statx_timestamp`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, Immutable)]
#[repr(C)]
pub struct StatxTimestamp {
    /// Seconds since 1970.
    pub sec: i64,
    /// Nanoseconds.
    pub nsec: u32,
    /// Nothing.
    pub pad: u32,
}

/// `struct statx`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, Immutable)]
#[repr(C)]
pub struct Statx {
    /// Which fields are filled (`STATX_*`).
    pub mask: u32,
    /// The best size of reads and writes.
    pub blksize: u32,
    /// Further attributes (`STATX_ATTR_*`).
    pub attributes: u64,
    /// The number of names.
    pub nlink: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Kind and permissions.
    pub mode: u16,
    /// Nothing.
    pub pad: u16,
    /// The number of the inode.
    pub ino: u64,
    /// The size in bytes.
    pub size: u64,
    /// The space used, in units of 512 bytes.
    pub blocks: u64,
    /// Which attributes are supported.
    pub attributes_mask: u64,
    /// The last access.
    pub atime: StatxTimestamp,
    /// The creation.
    pub btime: StatxTimestamp,
    /// The last change of the attributes.
    pub ctime: StatxTimestamp,
    /// The last change of the contents.
    pub mtime: StatxTimestamp,
    /// The device that a device node stands for.
    pub rdev: [u32; 2],
    /// The device of the file system.
    pub dev: [u32; 2],
    /// The mount's id.
    pub mnt_id: u64,
    /// Alignments of direct I/O, and what is not used yet.
    pub spare: [u64; 13],
}

/// `struct statfs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, IntoBytes, Immutable)]
#[repr(C)]
pub struct Statfs {
    /// The type's magic number.
    pub kind: i64,
    /// The size of a block.
    pub bsize: i64,
    /// All blocks.
    pub blocks: u64,
    /// The free blocks.
    pub bfree: u64,
    /// The blocks that an unprivileged user can have.
    pub bavail: u64,
    /// All inodes.
    pub files: u64,
    /// The free inodes.
    pub ffree: u64,
    /// The id of the file system.
    pub fsid: [u32; 2],
    /// The longest name.
    pub namelen: i64,
    /// The size of a fragment.
    pub frsize: i64,
    /// What the mount forbids (`ST_*`).
    pub flags: i64,
    /// Nothing.
    pub spare: [i64; 4],
}

const _: () = {
    assert!(size_of::<Stat>() == 144);
    assert!(size_of::<Statx>() == 256);
    assert!(size_of::<Statfs>() == 120);
};

/// Returns a device number in the form of `st_dev` and `st_rdev`.
pub const fn encode_device(device: (u32, u32)) -> u64 {
    let (major, minor) = (device.0 as u64, device.1 as u64);
    (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & 0xfff00) << 12)
}

/// Returns the major and the minor number of a device in the form of `mknod(2)`.
pub const fn decode_device(raw: u32) -> (u32, u32) {
    ((raw >> 8) & 0xfff, (raw & 0xff) | ((raw >> 12) & 0xfff00))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_come_back() {
        for device in [(1, 3), (0, 300), (259, 70_000), (4095, 0xfffff)] {
            assert_eq!(decode_device(u32::try_from(encode_device(device)).unwrap()), device);
        }
    }
}
