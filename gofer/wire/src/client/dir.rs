//! Listing directories.

use super::Client;
use super::error::ClientError;
use super::fids::Fid;
use crate::NO_FID;
use crate::attr::Attr;
use crate::base::readdir::{Dirent, Treaddir};
use crate::codec::{Field, Input, Malformed};
use crate::ext::readdir_attr::{DirentAttr, RreaddirAttr, TreaddirAttr};

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The entry's name; `.` and `..` are entries too.
    pub name: Vec<u8>,
    /// Where the listing goes on after this entry.
    pub offset: u64,
    /// The inode number.
    pub ino: u64,
    /// The device that holds the file, if the server tells.
    pub dev: Option<u64>,
    /// The file type as `DT_*` of `readdir(3)`.
    pub kind: u8,
    /// The file's attributes, if the server tells them with the listing.
    pub attr: Option<Attr>,
    /// What it holds, if it is a symbolic link and the server tells.
    pub target: Option<Box<[u8]>>,
}

/// A part of a directory's listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The entries.
    pub entries: Vec<DirEntry>,
    /// No entries follow. A standard server does not tell: then an empty part is the last.
    pub is_end: bool,
}

impl From<Dirent<'_>> for DirEntry {
    fn from(entry: Dirent<'_>) -> Self {
        let Dirent { qid, offset, kind, name } = entry;
        Self { name: name.to_vec(), offset, ino: qid.path, dev: None, kind, attr: None, target: None }
    }
}

impl From<DirentAttr<'_>> for DirEntry {
    fn from(entry: DirentAttr<'_>) -> Self {
        let DirentAttr { attr, target, offset, name } = entry;
        // `DT_*` are the file type bits of the mode, shifted down (`IFTODT` in <dirent.h>).
        let kind = u8::try_from(attr.file_type() >> 12).unwrap_or(0);
        let target = (!target.is_empty()).then(|| target.into());
        let (ino, dev) = (attr.ino, Some(attr.dev));
        Self { name: name.to_vec(), offset, ino, dev, kind, attr: (attr.nlink > 0).then_some(attr), target }
    }
}

impl Client {
    /// Lists a directory from `offset` on: 0, or that of the last entry received. Gives as many entries as one message
    /// holds.
    pub fn readdir_attr(&mut self, dir: Fid, offset: u64) -> Result<Listing, ClientError> {
        if !self.has_extensions {
            let open = self.open_plainly(dir, rustix::fs::OFlags::DIRECTORY.bits())?;
            let entries = self.readdir(open, offset);
            self.clunk(open)?;
            return entries.map(|entries| Listing { is_end: entries.is_empty(), entries });
        }
        let count = self.io_count(usize::MAX);
        let request = TreaddirAttr { fid: dir.0, newfid: NO_FID, name: b"", offset, count };
        let reply = self.call(&request)?;
        listing(&reply).map_err(|cause| self.broken(cause))
    }

    /// Walks to the directory `name` of `dir` and lists it from the beginning, as [`Client::readdir_attr`]. Gives its fid
    /// too.
    pub fn walk_readdir_attr(&mut self, dir: Fid, name: &[u8]) -> Result<(Fid, Listing), ClientError> {
        if !self.has_extensions {
            let fid = self.walk_fid(dir, &[name])?;
            let listing = self.readdir_attr(fid, 0);
            if listing.is_err() {
                self.clunk(fid)?;
            }
            return Ok((fid, listing?));
        }
        let (fid, count) = (self.allocate()?, self.io_count(usize::MAX));
        let request = TreaddirAttr { fid: dir.0, newfid: fid.0, name, offset: 0, count };
        let (reply, _) = self.call_for_fid(&request, fid)?;
        let listing = listing(&reply).map_err(|cause| self.broken(cause))?;
        Ok((fid, listing))
    }

    /// Lists the names of a directory from `offset` on, without attributes: far cheaper than
    /// [`readdir_attr`](Self::readdir_attr) where names are all that is wanted.
    pub fn readdir_names(&mut self, dir: Fid, offset: u64) -> Result<Vec<DirEntry>, ClientError> {
        // A server with extensions lists directories that are not open.
        if self.has_extensions {
            return self.readdir(dir, offset);
        }
        self.readdir_attr(dir, offset).map(|listing| listing.entries)
    }

    /// Lists an open directory by the standard's request.
    fn readdir(&mut self, open: Fid, offset: u64) -> Result<Vec<DirEntry>, ClientError> {
        let count = self.io_count(usize::MAX);
        let data = self.call(&Treaddir { fid: open.0, offset, count })?.data.0;
        entries::<Dirent<'_>>(data).map_err(|cause| self.broken(cause))
    }
}

fn listing(reply: &RreaddirAttr<'_>) -> Result<Listing, Malformed> {
    let is_end = match reply.is_end {
        0 => false,
        1 => true,
        _ => return Err(Malformed::Undefined),
    };
    Ok(Listing { entries: entries::<DirentAttr<'_>>(reply.data.0)?, is_end })
}

/// Unpacks entries.
fn entries<'a, T: Field<'a> + Into<DirEntry>>(data: &'a [u8]) -> Result<Vec<DirEntry>, Malformed> {
    let mut input = Input::new(data);
    let mut entries = Vec::new();
    while !input.is_empty() {
        entries.push(T::get(&mut input)?.into());
    }
    Ok(entries)
}
