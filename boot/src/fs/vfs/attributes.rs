//! What `stat` tells about an inode, and how it is changed.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::prelude::uapi;

/// The kind of an inode: the upper bits of its mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum FileKind {
    /// `S_IFREG`.
    Regular,
    /// `S_IFDIR`.
    Directory,
    /// `S_IFLNK`.
    Symlink,
    /// `S_IFCHR`.
    CharDevice,
    /// `S_IFBLK`.
    BlockDevice,
    /// `S_IFIFO`.
    Fifo,
    /// `S_IFSOCK`.
    Socket,
    /// No kind at all: an object that only descriptors refer to (`eventfd`, `epoll`).
    Anonymous,
}

impl FileKind {
    /// Returns the kind that the mode `mode` has; `None` if it names none.
    pub(crate) fn from_mode(mode: u32) -> Option<Self> {
        Some(match mode & uapi::S_IFMT {
            uapi::S_IFREG => Self::Regular,
            uapi::S_IFDIR => Self::Directory,
            uapi::S_IFLNK => Self::Symlink,
            uapi::S_IFCHR => Self::CharDevice,
            uapi::S_IFBLK => Self::BlockDevice,
            uapi::S_IFIFO => Self::Fifo,
            uapi::S_IFSOCK => Self::Socket,
            _ => return None,
        })
    }

    /// Returns its bits in a mode.
    pub(crate) const fn to_mode(self) -> u32 {
        match self {
            Self::Regular => uapi::S_IFREG,
            Self::Directory => uapi::S_IFDIR,
            Self::Symlink => uapi::S_IFLNK,
            Self::CharDevice => uapi::S_IFCHR,
            Self::BlockDevice => uapi::S_IFBLK,
            Self::Fifo => uapi::S_IFIFO,
            Self::Socket => uapi::S_IFSOCK,
            Self::Anonymous => 0,
        }
    }

    /// Returns its number in a directory entry (`d_type` of `getdents64(2)`).
    pub(crate) const fn to_dirent_type(self) -> u8 {
        match self {
            Self::Fifo => 1,
            Self::CharDevice => 2,
            Self::Directory => 4,
            Self::BlockDevice => 6,
            Self::Regular => 8,
            Self::Symlink => 10,
            Self::Socket => 12,
            Self::Anonymous => 0,
        }
    }
}

/// A time of a file: since 1970, before it for negative seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Timestamp {
    /// Seconds.
    pub(crate) seconds: i64,
    /// Nanoseconds, less than 10⁹.
    pub(crate) nanoseconds: u32,
}

impl Timestamp {
    /// Returns the time by which files are marked now: the host's, as coarse as Linux' own marks are.
    pub(crate) fn now() -> Self {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        Self { seconds: now.tv_sec, nanoseconds: u32::try_from(now.tv_nsec).unwrap_or(0) }
    }
}

impl From<Duration> for Timestamp {
    fn from(since_1970: Duration) -> Self {
        Self {
            seconds: i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX),
            nanoseconds: since_1970.subsec_nanos(),
        }
    }
}

/// What `stat` tells about an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attributes {
    /// The number of the inode in its file system.
    pub(crate) inode: u64,
    /// What it is.
    pub(crate) kind: FileKind,
    /// Permissions and the set-id and sticky bits: the lower 12 bits of `st_mode`.
    pub(crate) permissions: u32,
    /// The number of names.
    pub(crate) links: u32,
    /// The owner.
    pub(crate) uid: u32,
    /// The group.
    pub(crate) gid: u32,
    /// The device that a device node stands for: major number in the upper half, minor in the lower.
    pub(crate) device: (u32, u32),
    /// The size in bytes.
    pub(crate) size: u64,
    /// The space used, in units of 512 bytes.
    pub(crate) blocks: u64,
    /// The best size for reads and writes, in bytes.
    pub(crate) block_bytes: u32,
    /// The last access.
    pub(crate) accessed: Timestamp,
    /// The last change of the contents.
    pub(crate) modified: Timestamp,
    /// The last change of the attributes.
    pub(crate) changed: Timestamp,
    /// The creation, where it is known.
    pub(crate) created: Option<Timestamp>,
}

impl Attributes {
    /// Returns `st_mode`.
    pub(crate) fn mode(&self) -> u32 {
        self.kind.to_mode() | self.permissions
    }

    /// Makes a change, for file systems that keep attributes in this form. The size is only noted.
    pub(crate) fn apply(&mut self, change: &AttributeChange) {
        let now = Timestamp::now();
        let time = |change: Change| match change {
            Change::Now => now,
            Change::To(time) => time,
        };
        self.permissions = change.permissions.unwrap_or(self.permissions);
        self.uid = change.uid.unwrap_or(self.uid);
        self.gid = change.gid.unwrap_or(self.gid);
        self.size = change.size.unwrap_or(self.size);
        self.accessed = change.accessed.map_or(self.accessed, time);
        self.modified = change.modified.map_or(self.modified, time);
        self.changed = now;
    }
}

/// A change of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// To the time of the call.
    Now,
    /// To this time.
    To(Timestamp),
}

/// A change of attributes; permission to make it was checked. `changed` becomes the time of the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AttributeChange {
    /// The lower 12 bits of the mode.
    pub(crate) permissions: Option<u32>,
    /// The owner.
    pub(crate) uid: Option<u32>,
    /// The group.
    pub(crate) gid: Option<u32>,
    /// The size: cuts the file off, or lengthens it with zeros.
    pub(crate) size: Option<u64>,
    /// The last access.
    pub(crate) accessed: Option<Change>,
    /// The last change of the contents.
    pub(crate) modified: Option<Change>,
}
