//! The first change of a lower object: its attributes and contents are copied to the upper layer.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::OverlayInode;
use super::file_system::Key;
use crate::error::Errno;
use crate::fs::tmpfs::TmpfsInode;
use crate::fs::{AttributeChange, Change, FileKind, Inode, NewInode, NewInodeKind, Source, XattrMode};
use crate::prelude::errno;

impl OverlayInode {
    /// Returns the upper inode, to be changed.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if the upper layer has no room, or what the lower layer says.
    pub(super) fn upper(&self) -> Result<Arc<TmpfsInode>, Errno> {
        self.upper_with(None)
    }

    /// Returns the upper inode, to be changed; with `len`, no more than so many bytes of the contents are needed.
    ///
    /// # Errors
    ///
    /// As [`OverlayInode::upper`].
    pub(super) fn upper_with(&self, len: Option<u64>) -> Result<Arc<TmpfsInode>, Errno> {
        if let Some(upper) = &self.state.lock().upper {
            return Ok(Arc::clone(upper));
        }
        let _copying = self.copying.lock();
        // Somebody else may have been faster.
        if let Some(upper) = &self.state.lock().upper {
            return Ok(Arc::clone(upper));
        }
        // Without an upper inode there is a lower one.
        let lower = self.lower.as_ref().ok_or(errno::EIO)?;
        self.file_system.upper.check_inodes()?;
        let upper = self.copy(lower, len)?;
        let mut state = self.state.lock();
        state.upper = Some(Arc::clone(&upper));
        // What has no name any more goes with its last user. The lock sees to it that the last name is not lost in between.
        if self.has_name(state.links) {
            self.file_system.pin(Key::of(lower));
        }
        Ok(upper)
    }

    fn copy(&self, lower: &Arc<dyn Inode>, len: Option<u64>) -> Result<Arc<TmpfsInode>, Errno> {
        let attributes = lower.attributes()?;
        let kind = match lower.kind() {
            FileKind::Regular => NewInodeKind::Regular,
            FileKind::Directory => NewInodeKind::Directory,
            FileKind::Symlink => NewInodeKind::Symlink(lower.symlink_target()?),
            FileKind::CharDevice => NewInodeKind::CharDevice(attributes.device.0, attributes.device.1),
            FileKind::BlockDevice => NewInodeKind::BlockDevice(attributes.device.0, attributes.device.1),
            FileKind::Fifo => NewInodeKind::Fifo,
            FileKind::Socket => NewInodeKind::Socket,
            FileKind::Anonymous => return Err(errno::EPERM),
        };
        let permissions = attributes.permissions;
        let new = NewInode { kind, permissions, uid: attributes.uid, gid: attributes.gid };
        let upper = TmpfsInode::new(&self.file_system.upper, &new);
        if lower.kind() == FileKind::Regular {
            let len = len.unwrap_or(u64::MAX).min(attributes.size);
            copy_contents(lower, &upper, len)?;
        }
        copy_xattrs(lower, &upper)?;
        upper.set_attributes(&AttributeChange {
            accessed: Some(Change::To(attributes.accessed)),
            modified: Some(Change::To(attributes.modified)),
            ..AttributeChange::default()
        })?;
        Ok(upper)
    }
}

fn copy_contents(lower: &Arc<dyn Inode>, upper: &TmpfsInode, len: u64) -> Result<(), Errno> {
    if len == 0 {
        return Ok(());
    }
    let mut contents = Contents { host: lower.host_file()?, offset: 0, end: len };
    while contents.remaining() > 0 {
        // A file that somebody else cut off ends early.
        if upper.write(Some(contents.offset), &mut contents)?.1 == 0 {
            break;
        }
    }
    Ok(())
}

fn copy_xattrs(lower: &Arc<dyn Inode>, upper: &TmpfsInode) -> Result<(), Errno> {
    let names = match lower.xattr_names() {
        Err(errno::EOPNOTSUPP) => return Ok(()),
        names => names?,
    };
    for name in names {
        match lower.xattr(&name).and_then(|value| upper.set_xattr(&name, &value, XattrMode::Any)) {
            // As overlayfs: attributes of the lower file system that the upper does not know stay behind.
            Err(errno::EOPNOTSUPP | errno::ENODATA) => {}
            copied => copied?,
        }
    }
    Ok(())
}

/// What is read from a host file at once.
const CHUNK: usize = 1 << 20;

/// The contents of a host file.
struct Contents {
    host: Arc<OwnedFd>,
    offset: u64,
    end: u64,
}

impl Source for Contents {
    fn remaining(&self) -> usize {
        usize::try_from(self.end.saturating_sub(self.offset)).unwrap_or(usize::MAX).min(CHUNK)
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, Errno> {
        let len = self.remaining().min(into.len());
        let into = into.get_mut(..len).unwrap_or_default();
        let read = rustix::io::retry_on_intr(|| rustix::io::pread(&self.host, &mut *into, self.offset))
            .map_err(|error| Errno::from_raw(error.raw_os_error()))?;
        self.offset += read as u64;
        Ok(read)
    }
}
