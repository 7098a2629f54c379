//! The file system object: its limits, and what it uses of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::TmpfsInode;
use super::data::PAGE;
use crate::error::Errno;
use crate::fs::{
    FileKind, FileSystem, FileSystemStatistics, NameCache, NewInode, NewInodeKind, new_device_number,
};
use crate::prelude::{errno, uapi};

/// What a tmpfs is mounted with (`tmpfs(5)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TmpfsOptions {
    /// The most bytes of contents; `u64::MAX` for no limit.
    pub(crate) size: u64,
    /// The most inodes; `u64::MAX` for no limit.
    pub(crate) inodes: u64,
    /// The lower 12 bits of the mode of its root.
    pub(crate) mode: u32,
    /// The owner of its root.
    pub(crate) uid: u32,
    /// The group of its root.
    pub(crate) gid: u32,
}

impl Default for TmpfsOptions {
    fn default() -> Self {
        Self { size: u64::MAX, inodes: u64::MAX, mode: 0o1777, uid: 0, gid: 0 }
    }
}

impl TmpfsOptions {
    /// Reads the options of a mount, with commas between them; those that only tune the host's memory are ignored.
    /// `memory_bytes` is what a percentage is of.
    ///
    /// # Errors
    ///
    /// `EINVAL` for an unknown option or a bad value.
    pub(crate) fn parse(self, options: &str, memory_bytes: u64) -> Result<Self, Errno> {
        let mut parsed = self;
        for option in options.split(',').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let number = |radix| u32::from_str_radix(value, radix).map_err(|_| errno::EINVAL);
            match key {
                "size" => parsed.size = parse_size(value, memory_bytes)?,
                "nr_blocks" => parsed.size = parse_size(value, memory_bytes)?.saturating_mul(PAGE),
                "nr_inodes" => parsed.inodes = parse_size(value, memory_bytes)?,
                "mode" => parsed.mode = number(8)? & 0o7777,
                "uid" => parsed.uid = number(10)?,
                "gid" => parsed.gid = number(10)?,
                "huge" | "mpol" | "noswap" | "inode32" | "inode64" => {}
                _ => return Err(errno::EINVAL),
            }
        }
        for limit in [&mut parsed.size, &mut parsed.inodes] {
            // "0 means no limit".
            *limit = if *limit == 0 { u64::MAX } else { *limit };
        }
        Ok(parsed)
    }
}

fn parse_size(text: &str, memory_bytes: u64) -> Result<u64, Errno> {
    if let Some(percent) = text.strip_suffix('%') {
        let percent: u64 = percent.parse().map_err(|_| errno::EINVAL)?;
        return Ok(memory_bytes.saturating_mul(percent) / 100);
    }
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (text.get(..text.len() - 1), 10),
        Some(b'm' | b'M') => (text.get(..text.len() - 1), 20),
        Some(b'g' | b'G') => (text.get(..text.len() - 1), 30),
        _ => (Some(text), 0),
    };
    let number: u64 = digits.unwrap_or_default().parse().map_err(|_| errno::EINVAL)?;
    number.checked_shl(shift).filter(|size| size >> shift == number).ok_or(errno::EINVAL)
}

/// A tmpfs.
#[derive(Debug)]
pub(crate) struct Tmpfs {
    device: (u32, u32),
    options: TmpfsOptions,
    next_inode: AtomicU64,
    inodes: AtomicU64,
    pages: AtomicU64,
}

impl Tmpfs {
    /// Makes a file system without a root.
    pub(crate) fn new(options: TmpfsOptions) -> Arc<Self> {
        Self::with_next_inode(new_device_number(), options, 1)
    }

    /// Makes a file system without a root whose device and whose next inode have these numbers.
    pub(super) fn with_next_inode(device: (u32, u32), options: TmpfsOptions, next_inode: u64) -> Arc<Self> {
        Arc::new(Self {
            device,
            options,
            next_inode: AtomicU64::new(next_inode),
            inodes: AtomicU64::new(0),
            pages: AtomicU64::new(0),
        })
    }

    /// Makes an empty file system, and returns its root.
    pub(crate) fn new_root(options: TmpfsOptions) -> Arc<TmpfsInode> {
        Self::root_of(&Self::new(options))
    }

    /// Makes the root of a file system.
    pub(super) fn root_of(file_system: &Arc<Self>) -> Arc<TmpfsInode> {
        let options = file_system.options;
        let new = NewInode {
            kind: NewInodeKind::Directory,
            permissions: options.mode,
            uid: options.uid,
            gid: options.gid,
        };
        TmpfsInode::new(file_system, &new)
    }

    /// Takes an inode and returns its number. The first, the root, is always there.
    pub(super) fn add_inode(&self) -> u64 {
        self.inodes.fetch_add(1, Ordering::Relaxed);
        self.next_inode.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes an inode that has a number.
    pub(super) fn add_numbered_inode(&self) {
        self.inodes.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns what it was made with.
    pub(super) fn options(&self) -> TmpfsOptions {
        self.options
    }

    /// Returns the number of the next inode.
    pub(super) fn next_inode(&self) -> u64 {
        self.next_inode.load(Ordering::Relaxed)
    }

    /// Checks that there may be one more inode.
    pub(crate) fn check_inodes(&self) -> Result<(), Errno> {
        if self.inodes.load(Ordering::Relaxed) >= self.options.inodes { Err(errno::ENOSPC) } else { Ok(()) }
    }

    pub(super) fn remove_inode(&self) {
        self.inodes.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns how many bytes may still be used.
    pub(super) fn room(&self) -> u64 {
        self.options.size.saturating_sub(self.pages.load(Ordering::Relaxed).saturating_mul(PAGE))
    }

    /// Returns whether there is no limit, so that nobody has to count.
    pub(super) fn is_unlimited(&self) -> bool {
        self.options.size == u64::MAX
    }

    /// Notes that an inode that used `before` pages now uses `now`.
    pub(super) fn charge(&self, before: u64, now: u64) {
        if now > before {
            self.pages.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.pages.fetch_sub(before - now, Ordering::Relaxed);
        }
    }
}

impl FileSystem for Tmpfs {
    fn type_name(&self) -> &'static str {
        "tmpfs"
    }

    fn device(&self) -> (u32, u32) {
        self.device
    }

    fn statistics(&self) -> Result<FileSystemStatistics, Errno> {
        let of = |limit: u64, used: u64| {
            if limit == u64::MAX { (0, 0) } else { (limit, limit.saturating_sub(used)) }
        };
        let limit = if self.is_unlimited() { u64::MAX } else { self.options.size / PAGE };
        let (blocks, blocks_free) = of(limit, self.pages.load(Ordering::Relaxed));
        let (files, files_free) = of(self.options.inodes, self.inodes.load(Ordering::Relaxed));
        Ok(FileSystemStatistics {
            magic: u64::from(uapi::TMPFS_MAGIC),
            block_bytes: PAGE,
            blocks,
            blocks_free,
            blocks_available: blocks_free,
            files,
            files_free,
            name_max: 255,
        })
    }

    fn name_cache(&self) -> NameCache {
        NameCache::Keep
    }
}

/// Returns the kind that a new inode will have.
pub(super) fn kind_of(kind: &NewInodeKind) -> FileKind {
    match kind {
        NewInodeKind::Regular => FileKind::Regular,
        NewInodeKind::Directory => FileKind::Directory,
        NewInodeKind::Symlink(_) => FileKind::Symlink,
        NewInodeKind::CharDevice(..) => FileKind::CharDevice,
        NewInodeKind::BlockDevice(..) => FileKind::BlockDevice,
        NewInodeKind::Fifo => FileKind::Fifo,
        NewInodeKind::Socket => FileKind::Socket,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let parse = |text| TmpfsOptions::default().parse(text, 1000);
        let options = parse("size=2m,mode=755,nr_inodes=1k,uid=5,gid=6").unwrap();
        assert_eq!(options, TmpfsOptions { size: 2 << 20, inodes: 1024, mode: 0o755, uid: 5, gid: 6 });
        assert_eq!((parse("size=50%").unwrap().size, parse("size=0").unwrap().size), (500, u64::MAX));
        for bad in ["size=", "size=x", "size=99999999999g", "mode=9", "what"] {
            assert_eq!(parse(bad), Err(errno::EINVAL), "{bad}");
        }
    }
}
