//! `Treaddir` and `TreaddirAttr`.

use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::rc::Rc;

use cloister_9p::base::readdir::{Dirent, Rreaddir, Treaddir};
use cloister_9p::codec::{Data, Field};
use cloister_9p::ext::readdir_attr::{DirentAttr, RreaddirAttr, TreaddirAttr};
use cloister_9p::{Attr, Qid};
use rustix::fs::{FileType, RawDir, RawDirEntry, SeekFrom, readlinkat, seek};
use rustix::io::Errno;

use crate::fid::{DirStream, Fid, Open};
use crate::name::Name;
use crate::node::{FileId, Node};
use crate::session::{Answer, Session};
use crate::{Result, attr};

/// What the host gives at a time. More would be lost when a reply is full and the listing goes on with the next.
const HOST_BATCH: usize = 8 << 10;

/// The longest target of a symbolic link that goes with a listing, so that an entry always fits a message.
const MAX_TARGET: usize = 512;

impl Session {
    /// Lists a directory; beyond the standard it need not be open.
    pub(crate) fn readdir(&mut self, request: &Treaddir, answer: &mut Answer<'_>) -> Result<()> {
        let dir = self.begin_listing(request.fid)?;
        let root = Rc::clone(self.tree.root());
        let put_fn = |entry: &RawDirEntry<'_>, out: &mut Vec<u8>| {
            let name = entry.file_name().to_bytes();
            let entry_attr = match name {
                b"." => Some(dir.attr()?),
                b".." => Some(dir.parent().attr()?),
                _ => None,
            };
            let qid = entry_attr.map_or_else(
                || {
                    let kind = match entry.file_type() {
                        FileType::Directory => Qid::DIR,
                        FileType::Symlink => Qid::SYMLINK,
                        _ => Qid::FILE,
                    };
                    // On another device than the root's, this is the number of what a mount point covers, as with
                    // getdents64(2) itself.
                    let attr = Attr { ino: entry.ino(), dev: dir.id().0, ..Attr::default() };
                    Qid { kind, ..attr::qid(&attr, root.id().0) }
                },
                |entry_attr| attr::qid(&entry_attr, root.id().0),
            );
            let kind = dirent_type(entry.file_type());
            put(&Dirent { qid, offset: entry.next_entry_cookie(), kind, name }, out)
        };
        let mut out = std::mem::take(&mut self.scratch);
        let result = self.list(request.fid, request.offset, request.count, &mut out, put_fn);
        self.end_listing(request.fid, result.is_ok() && out.is_empty())?;
        let result = result.and_then(|_| answer.with(&Rreaddir { data: Data(&out) }));
        self.scratch = out;
        result
    }

    /// Lists a directory, open or not, with attributes; walks to it first if it is named.
    pub(crate) fn readdir_attr(&mut self, request: &TreaddirAttr<'_>, answer: &mut Answer<'_>) -> Result<()> {
        if request.name.is_empty() {
            return self.list_attrs(request.fid, request, answer);
        }
        let dir = self.fids.get(request.fid)?;
        let (node, _) = dir.node.child(Name::new(request.name)?)?;
        let fid = Fid::new(node, dir.uid);
        self.fids.insert(request.newfid, fid)?;
        let result = self.list_attrs(request.newfid, request, answer);
        if result.is_err() {
            self.fids.remove(request.newfid)?;
        }
        result
    }

    fn list_attrs(&mut self, fid: u32, request: &TreaddirAttr<'_>, answer: &mut Answer<'_>) -> Result<()> {
        let dir = self.begin_listing(fid)?;
        let put_fn = |entry: &RawDirEntry<'_>, out: &mut Vec<u8>| {
            let name = entry.file_name().to_bytes();
            let (attr, target) = match listed_attr(&dir, entry) {
                Ok(attr) if attr.is_symlink() => (attr, link_target(&dir, name)),
                Ok(attr) => (attr, Vec::new()),
                // It was removed since the host listed it.
                Err(Errno::NOENT) => return Ok(()),
                // A directory that may not be searched can be listed nevertheless.
                Err(_) => (id_only(entry.file_type(), (dir.id().0, entry.ino())), Vec::new()),
            };
            put(&DirentAttr { attr, target: &target, offset: entry.next_entry_cookie(), name }, out)
        };
        let mut out = std::mem::take(&mut self.scratch);
        let result = self.list(fid, request.offset, request.count, &mut out, put_fn);
        self.end_listing(fid, matches!(result, Ok(true)))?;
        let result = result
            .and_then(|is_end| answer.with(&RreaddirAttr { is_end: u8::from(is_end), data: Data(&out) }));
        self.scratch = out;
        result
    }

    /// Opens a directory for a listing, unless it is open.
    fn begin_listing(&mut self, fid: u32) -> Result<Rc<Node>> {
        let fid = self.fids.get_mut(fid)?;
        if !fid.node.is_dir() {
            return Err(Errno::NOTDIR);
        }
        match fid.open {
            Open::Dir(_) => {}
            Open::Nothing => {
                let fd = fid.node.open(rustix::fs::OFlags::RDONLY)?;
                fid.open = Open::Dir(DirStream { fd, position: 0, is_implicit: true });
            }
            Open::File(_) | Open::XattrValue(_) | Open::XattrSink(_) => return Err(Errno::BADF),
        }
        Ok(Rc::clone(&fid.node))
    }

    /// Closes what [`Self::begin_listing`] opened once the listing is `over`.
    fn end_listing(&mut self, fid: u32, over: bool) -> Result<()> {
        let fid = self.fids.get_mut(fid)?;
        if over && matches!(fid.open, Open::Dir(DirStream { is_implicit: true, .. })) {
            fid.open = Open::Nothing;
        }
        Ok(())
    }

    /// Fills `out` with whole entries from `offset` on, at most `count` bytes, each put there by `put_fn`. Returns whether
    /// the last is among them.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no room for one entry.
    fn list(
        &mut self,
        fid: u32,
        offset: u64,
        count: u32,
        out: &mut Vec<u8>,
        put_fn: impl Fn(&RawDirEntry<'_>, &mut Vec<u8>) -> Result<()>,
    ) -> Result<bool> {
        let room = self.payload(count);
        out.clear();
        let Open::Dir(stream) = &mut self.fids.get_mut(fid)?.open else { return Err(Errno::BADF) };
        if stream.position != offset {
            // Offsets are the host's own; one that was made up gives what the host makes of it.
            seek(&stream.fd, SeekFrom::Start(offset))?;
        }
        // Until all went well it is not known where the host stands.
        stream.position = u64::MAX;
        let mut buffer = [MaybeUninit::uninit(); HOST_BATCH];
        let mut entries = RawDir::new(stream.fd.as_fd(), &mut buffer);
        let mut next = offset;
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let len = out.len();
            put_fn(&entry, out)?;
            if out.len() > room {
                out.truncate(len);
                return if len == 0 { Err(Errno::INVAL) } else { Ok(false) };
            }
            next = entry.next_entry_cookie();
            if entries.is_buffer_empty() {
                stream.position = next;
                // A reply that is nearly full is not worth another batch of which most would be thrown away.
                if out.len() > room / 2 {
                    return Ok(false);
                }
                stream.position = u64::MAX;
            }
        }
        stream.position = next;
        Ok(true)
    }
}

/// The attributes of an entry. Of `.` and `..`, which nobody looks up, only the ids; that of `..` is the tree's: the root's own
/// at the root.
fn listed_attr(dir: &Rc<Node>, entry: &RawDirEntry<'_>) -> Result<Attr> {
    match entry.file_name().to_bytes() {
        b"." => Ok(id_only(FileType::Directory, dir.id())),
        b".." => Ok(id_only(FileType::Directory, dir.parent().id())),
        _ => attr::of_entry(dir.fd(), entry.file_name()),
    }
}

/// Attributes of which only these are known.
fn id_only(kind: FileType, (dev, ino): FileId) -> Attr {
    Attr { mode: kind.as_raw_mode(), ino, dev, ..Attr::default() }
}

/// What the symbolic link `name` holds; nothing, which no link does, if that can't be read or is long.
fn link_target(dir: &Node, name: &[u8]) -> Vec<u8> {
    let target =
        readlinkat(dir.fd(), name, Vec::new()).map(std::ffi::CString::into_bytes).unwrap_or_default();
    if target.len() > MAX_TARGET { Vec::new() } else { target }
}

fn put<'a, T: Field<'a>>(entry: &T, out: &mut Vec<u8>) -> Result<()> {
    entry.put(out).map_err(|_| Errno::NAMETOOLONG)
}

/// `DT_*` of `readdir(3)`.
fn dirent_type(kind: FileType) -> u8 {
    // They are the file type bits of a mode, shifted down (`IFTODT` in <dirent.h>).
    u8::try_from(kind.as_raw_mode() >> 12).unwrap_or(0)
}
