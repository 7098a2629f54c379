//! What can change of an inode.

use super::data::Data;
use super::directory::Entries;
use super::file_system::Tmpfs;
use super::xattrs::Xattrs;
use crate::error::Errno;
use crate::fs::{Attributes, Timestamp};
use crate::prelude::errno;

/// What can change of an inode: under its lock.
#[derive(Debug)]
pub(super) struct State {
    /// What `stat` tells; the size and the space are the body's.
    pub(super) attributes: Attributes,
    pub(super) xattrs: Xattrs,
    pub(super) body: Body,
    /// How many pages of the file system's limit it uses; counted only if there is a limit.
    pub(super) charged: u64,
    /// Made with `O_TMPFILE` and not `O_EXCL`: it may get a first name.
    pub(super) is_linkable: bool,
}

/// What an inode is.
#[derive(Debug)]
pub(super) enum Body {
    File(Data),
    Directory(Entries),
    Symlink(Box<[u8]>),
    Special,
}

impl State {
    pub(super) fn attributes(&self) -> Attributes {
        let mut attributes = self.attributes;
        match &self.body {
            Body::File(data) => {
                attributes.size = data.size();
                attributes.blocks = data.pages() * 8;
            }
            Body::Directory(entries) => {
                // As Linux' tmpfs, which counts 20 bytes for each entry, the dots included.
                attributes.size = (entries.len() as u64 + 2) * 20;
                attributes.links = entries.links();
            }
            Body::Symlink(target) => attributes.size = target.len() as u64,
            Body::Special => {}
        }
        attributes
    }

    pub(super) fn data(&mut self) -> Result<&mut Data, Errno> {
        match &mut self.body {
            Body::File(data) => Ok(data),
            Body::Directory(_) => Err(errno::EISDIR),
            Body::Symlink(_) | Body::Special => Err(errno::EINVAL),
        }
    }

    pub(super) fn entries(&mut self) -> Result<&mut Entries, Errno> {
        match &mut self.body {
            Body::Directory(entries) => Ok(entries),
            Body::File(_) | Body::Symlink(_) | Body::Special => Err(errno::ENOTDIR),
        }
    }

    pub(super) fn touch(&mut self) {
        let now = Timestamp::now();
        self.attributes.modified = now;
        self.attributes.changed = now;
    }

    /// Counts the pages that the contents use now.
    pub(super) fn charge(&mut self, file_system: &Tmpfs) {
        if file_system.is_unlimited() {
            return;
        }
        if let Body::File(data) = &self.body {
            let pages = data.pages();
            file_system.charge(self.charged, pages);
            self.charged = pages;
        }
    }
}
