//! Listing directories.

use super::Client;
use super::error::ClientError;
use super::fids::Fid;
use crate::attr::Attr;
use crate::base::readdir::{Dirent, Treaddir};
use crate::codec::{Field, Input, Malformed};
use crate::ext::readdir_attr::{DirentAttr, TreaddirAttr};

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The entry's name; `.` and `..` are entries too.
    pub name: Vec<u8>,
    /// Where the listing goes on after this entry.
    pub offset: u64,
    /// The inode number.
    pub ino: u64,
    /// The file type as `DT_*` of `readdir(3)`.
    pub kind: u8,
    /// The file's attributes, if the server tells them with the listing.
    pub attr: Option<Attr>,
}

impl From<Dirent<'_>> for DirEntry {
    fn from(entry: Dirent<'_>) -> Self {
        let Dirent { qid, offset, kind, name } = entry;
        Self { name: name.to_vec(), offset, ino: qid.path, kind, attr: None }
    }
}

impl From<DirentAttr<'_>> for DirEntry {
    fn from(entry: DirentAttr<'_>) -> Self {
        let DirentAttr { attr, offset, name } = entry;
        // `DT_*` are the file type bits of the mode, shifted down (`IFTODT` in <dirent.h>).
        let kind = u8::try_from(attr.file_type() >> 12).unwrap_or(0);
        Self { name: name.to_vec(), offset, ino: attr.ino, kind, attr: Some(attr) }
    }
}

impl Client {
    /// Lists a directory from `offset` on: 0, or that of the last entry received. Gives as many entries as one message
    /// holds, and none at the end.
    pub fn readdir_attr(&mut self, dir: Fid, offset: u64) -> Result<Vec<DirEntry>, ClientError> {
        if !self.has_extensions {
            let open = self.open_plainly(dir, rustix::fs::OFlags::DIRECTORY.bits())?;
            let entries = self.readdir(open, offset);
            self.clunk(open)?;
            return entries;
        }
        let count = self.io_count(usize::MAX);
        let data = self.call(&TreaddirAttr { fid: dir.0, offset, count })?.data.0;
        entries::<DirentAttr<'_>>(data).map_err(|cause| self.broken(cause))
    }

    /// Lists the names of a directory from `offset` on, without attributes: far cheaper than
    /// [`readdir_attr`](Self::readdir_attr) where names are all that is wanted.
    pub fn readdir_names(&mut self, dir: Fid, offset: u64) -> Result<Vec<DirEntry>, ClientError> {
        // A server with extensions lists directories that are not open.
        if self.has_extensions { self.readdir(dir, offset) } else { self.readdir_attr(dir, offset) }
    }

    /// Lists an open directory by the standard's request.
    fn readdir(&mut self, open: Fid, offset: u64) -> Result<Vec<DirEntry>, ClientError> {
        let count = self.io_count(usize::MAX);
        let data = self.call(&Treaddir { fid: open.0, offset, count })?.data.0;
        entries::<Dirent<'_>>(data).map_err(|cause| self.broken(cause))
    }
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
