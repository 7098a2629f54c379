//! What a directory holds, as the gofer listed it.
//!
//! Where all changes go through this kernel, the listing of a directory answers its look-ups until a name of it changes:
//! what is not in it does not exist, and the attributes of what is came along. `find`, `git status` or an import of Python
//! so cost one request for each directory, not one for each name.
//!
//! Attributes are told once: the inode made of them knows every later change, and may be gone when its name is looked up
//! again. For the same reason those of a file with several names, or of one in use, are not kept at all.

use std::sync::Arc;

use cloister_9p::Attr;
use cloister_9p::client::{DirEntry, Listing as Answer};

use super::attributes::{FileId, inode_number};
use super::inode::Place;
use super::{GoferInode, Trust};
use crate::error::Errno;
use crate::fs::FileKind;
use crate::prelude::errno;

/// The most entries of a directory whose listing is kept.
const MAX_ENTRIES: usize = 4096;

/// An entry of a directory.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its name.
    pub(super) name: Box<[u8]>,
    /// The position of the entry behind it.
    pub(super) next: u64,
    /// The inode number that the guest sees.
    pub(super) number: u64,
    /// What it is.
    pub(super) kind: FileKind,
}

/// Some entries that follow each other.
#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    /// The entries.
    pub(super) entries: Arc<[Entry]>,
    /// There are none behind them.
    pub(super) is_end: bool,
}

/// All entries of a directory.
#[derive(Debug)]
pub(super) struct Listing {
    entries: Arc<[Entry]>,
    /// The places in `entries`, in the order of the names.
    order: Box<[usize]>,
    /// What was told about the entries, and was not taken yet.
    told: Vec<Option<Box<Told>>>,
}

/// What a listing tells about a file.
#[derive(Debug)]
pub(super) struct Told {
    /// The attributes.
    pub(super) attr: Attr,
    /// What a symbolic link holds.
    pub(super) target: Option<Box<[u8]>>,
}

/// What a listing knows about a name.
#[derive(Debug)]
enum Known {
    /// There is no such name.
    Absent,
    /// This, which nobody has asked for before.
    Told(Box<Told>),
    /// That it exists.
    Present,
}

impl Listing {
    fn new(entries: &Arc<[Entry]>, told: Vec<Option<Box<Told>>>) -> Self {
        let name = |&index: &usize| entries.get(index).map(|entry| &entry.name);
        let mut order: Box<[usize]> = (0..entries.len()).collect();
        order.sort_unstable_by(|a, b| name(a).cmp(&name(b)));
        Self { entries: Arc::clone(entries), order, told }
    }

    fn take(&mut self, name: &[u8]) -> Known {
        let entry_name = |&index: &usize| self.entries.get(index).map(|entry| &*entry.name);
        let Ok(place) = self.order.binary_search_by(|index| entry_name(index).cmp(&Some(name))) else {
            return Known::Absent;
        };
        let told = self.order.get(place).and_then(|&index| self.told.get_mut(index)?.take());
        told.map_or(Known::Present, Known::Told)
    }
}

impl GoferInode {
    /// Returns the first entries of this directory: all, if they are not many.
    pub(super) fn first_part(&self) -> Result<Part, Errno> {
        if self.file_system.trust() == Trust::Shared {
            return self.part_from(0);
        }
        if let Some(listing) = &self.state.lock().listing {
            return Ok(Part { entries: Arc::clone(&listing.entries), is_end: true });
        }
        let changes = self.file_system.changes();
        let Answer { mut entries, mut is_end } = self.ask_first()?;
        while !is_end && entries.len() < MAX_ENTRIES {
            let (fid, offset) = (self.fid()?, entries.last().map_or(0, |entry| entry.offset));
            let more = self.file_system.call(|client| client.readdir_attr(fid, offset))?;
            is_end = more.is_end || more.entries.is_empty();
            entries.extend(more.entries);
        }
        let told = entries.iter_mut().map(told).collect();
        let part = self.part(entries, is_end);
        if is_end {
            self.keep_listing(&part, told, changes);
        }
        Ok(part)
    }

    /// Returns some entries of this directory from the position `position` on.
    pub(super) fn part_from(&self, position: u64) -> Result<Part, Errno> {
        let fid = self.fid()?;
        let entries = self.file_system.call(|client| client.readdir_names(fid, position))?;
        let is_end = entries.is_empty();
        Ok(self.part(entries, is_end))
    }

    /// Asks for the first entries, and for the fid too if there is none yet.
    fn ask_first(&self) -> Result<Answer, Errno> {
        let Some(Place { directory, name }) = self.place() else {
            let fid = self.fid()?;
            return self.file_system.call(|client| client.readdir_attr(fid, 0));
        };
        let above = directory.fid()?;
        let (fid, listing) = self.file_system.call(|client| client.walk_readdir_attr(above, &name))?;
        let own = listing.entries.iter().find(|entry| entry.name == b".");
        self.take_fid(fid, own.and_then(|own| Some((own.dev?, own.ino))))?;
        Ok(listing)
    }

    fn part(&self, entries: Vec<DirEntry>, is_end: bool) -> Part {
        let root_device = self.file_system.root_device();
        let convert = |entry: DirEntry| {
            let id = (entry.dev.unwrap_or(root_device), entry.ino);
            Entry {
                name: entry.name.into(),
                next: entry.offset,
                number: inode_number(id, root_device),
                kind: FileKind::from_mode(u32::from(entry.kind) << 12).unwrap_or(FileKind::Anonymous),
            }
        };
        Part { entries: entries.into_iter().map(convert).collect(), is_end }
    }

    /// Keeps the listing unless something has changed since there were `changes` changes.
    fn keep_listing(&self, part: &Part, mut told: Vec<Option<Box<Told>>>, changes: u64) {
        self.file_system.forget_known(&mut told);
        if self.file_system.changes() != changes {
            return;
        }
        let listing = Listing::new(&part.entries, told);
        self.state.lock().listing = Some(listing);
        self.file_system.note_listing(self.id, part.entries.len());
    }

    /// Returns what the listing of this directory knows about `name`: an inode or that there is none; `None` if the gofer
    /// must be asked.
    pub(super) fn find_listed(&self, name: &[u8]) -> Option<Result<Arc<Self>, Errno>> {
        let known = self.state.lock().listing.as_mut()?.take(name);
        let told = match known {
            Known::Absent => return Some(Err(errno::ENOENT)),
            Known::Told(told) => told,
            Known::Present => return None,
        };
        let directory = self.file_system.known(self.id)?;
        Some(Ok(self.file_system.inode_told(*told, Place { directory, name: name.into() })))
    }

    /// Forgets the listing.
    pub(super) fn forget_listing(&self) {
        let listing = self.state.lock().listing.take();
        drop(listing);
    }
}

impl Told {
    /// What makes the file the same one.
    pub(super) fn id(&self) -> FileId {
        (self.attr.dev, self.attr.ino)
    }
}

/// Takes what an entry tells, if it is the only one that does.
fn told(entry: &mut DirEntry) -> Option<Box<Told>> {
    let attr = entry.attr.filter(|attr| attr.nlink == 1 || attr.is_dir())?;
    Some(Box::new(Told { attr, target: entry.target.take() }))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::super::tests::{Fixture, as_inode, new, read};
    use super::*;
    use crate::fs::{AttributeChange, Inode, NewInodeKind, RenameMode};

    /// A directory `d` with a file, a link and a directory, of which the listing is known.
    fn listed() -> (Fixture, Arc<GoferInode>) {
        let fixture = Fixture::new(Trust::Exclusive);
        fs::create_dir_all(fixture.path("d/below")).unwrap();
        fs::write(fixture.path("d/file"), "text").unwrap();
        fs::write(fixture.path("d/below/deep"), "deep").unwrap();
        symlink("file", fixture.path("d/link")).unwrap();
        let directory = fixture.root.find(b"d").unwrap();
        assert!(directory.first_part().unwrap().is_end);
        (fixture, directory)
    }

    #[test]
    fn what_was_listed_needs_no_request() {
        let (fixture, directory) = listed();
        fixture.file_system.disconnect();
        let file = directory.find(b"file").unwrap();
        assert_eq!((file.kind(), file.attributes().unwrap().size), (FileKind::Regular, 4));
        assert!(Arc::ptr_eq(&file.place().unwrap().directory, &directory));
        assert_eq!(directory.find(b"link").unwrap().target(), Ok(b"file".to_vec()));
        assert_eq!(directory.find(b"below").unwrap().kind(), FileKind::Directory);
        assert_eq!(directory.find(b"fil").unwrap_err(), errno::ENOENT);
        assert_eq!(directory.first_part().unwrap().entries.len(), 5);
        // What was told once is asked for the second time.
        drop(file);
        assert_eq!(directory.find(b"file").unwrap_err(), errno::EIO);
    }

    #[test]
    fn what_was_listed_can_be_used() {
        let (_fixture, directory) = listed();
        let file = directory.find(b"file").unwrap();
        assert_eq!(read(&file).unwrap(), b"text");
        assert!(file.place().is_none());
        let below = directory.find(b"below").unwrap();
        assert!(below.first_part().unwrap().entries.iter().any(|entry| *entry.name == *b"deep"));
        assert_eq!(read(&below.find(b"deep").unwrap()).unwrap(), b"deep");
        let link = directory.find(b"link").unwrap();
        directory.unlink(b"link", &as_inode(&link)).unwrap();
        link.outdate();
        assert_eq!(link.attributes().unwrap().links, 0, "it lives on without a name");
    }

    #[test]
    fn small_directories_are_listed_as_names_are_looked_up() {
        let (fixture, directory) = listed();
        directory.forget_listing();
        assert_eq!(directory.find(b"none").unwrap_err(), errno::ENOENT);
        assert!(directory.state.lock().listing.is_none(), "one name is not many");
        assert_eq!(directory.find(b"neither").unwrap_err(), errno::ENOENT);
        fixture.file_system.disconnect();
        assert_eq!(directory.find(b"file").unwrap().attributes().unwrap().size, 4);
        assert_eq!(directory.find(b"other").unwrap_err(), errno::ENOENT);
    }

    #[test]
    fn changes_of_names_are_seen() {
        let (fixture, directory) = listed();
        let root = as_inode(&fixture.root);
        let again = || directory.first_part().unwrap().entries.len();
        directory.create(b"new", &new(NewInodeKind::Regular)).unwrap();
        directory.find(b"new").unwrap();
        assert_eq!(again(), 6);
        directory.create(b"fifo", &new(NewInodeKind::Fifo)).unwrap();
        assert_eq!(again(), 7);
        let file = as_inode(&directory.find(b"file").unwrap());
        directory.link(b"hard", &file).unwrap();
        assert_eq!(again(), 8);
        directory.unlink(b"new", &as_inode(&directory.find(b"new").unwrap())).unwrap();
        assert_eq!(directory.find(b"new").unwrap_err(), errno::ENOENT);
        assert_eq!(again(), 7);
        directory.rename(b"fifo", &root, b"moved", RenameMode::Replace).unwrap();
        assert_eq!(again(), 6);
        root.rename(b"moved", &as_inode(&directory), b"back", RenameMode::Replace).unwrap();
        assert_eq!((again(), directory.find(b"back").unwrap().kind()), (7, FileKind::Fifo));
        let below = as_inode(&directory.find(b"below").unwrap());
        below.unlink(b"deep", &below.lookup(b"deep").unwrap()).unwrap();
        directory.remove_directory(b"below", &below).unwrap();
        assert_eq!(directory.find(b"below").unwrap_err(), errno::ENOENT);
    }

    #[test]
    fn changes_of_attributes_are_seen() {
        let (fixture, directory) = listed();
        let permissions = |name: &[u8]| directory.find(name).unwrap().attributes().unwrap().permissions;
        let change = AttributeChange { permissions: Some(0o600), ..AttributeChange::default() };
        directory.find(b"file").unwrap().set_attributes(&change).unwrap();
        assert_eq!(permissions(b"file"), 0o600, "the changed inode is gone");
        // Neither is one changed behind a listing's back that was in use when it was made.
        let file = directory.find(b"file").unwrap();
        directory.forget_listing();
        directory.first_part().unwrap();
        file.set_attributes(&AttributeChange { permissions: Some(0o640), ..change }).unwrap();
        drop(file);
        assert_eq!(permissions(b"file"), 0o640);
        // A file with several names is changed by another one.
        fs::hard_link(fixture.path("d/file"), fixture.path("other")).unwrap();
        directory.forget_listing();
        directory.first_part().unwrap();
        fixture.root.find(b"other").unwrap().set_attributes(&change).unwrap();
        assert_eq!(permissions(b"file"), 0o600);
    }

    #[test]
    fn another_file_in_its_place_is_not_taken_for_it() {
        let (fixture, directory) = listed();
        let file = directory.find(b"file").unwrap();
        let _old = fs::File::open(fixture.path("d/file")).unwrap();
        fs::remove_file(fixture.path("d/file")).unwrap();
        fs::write(fixture.path("d/file"), "another").unwrap();
        assert_eq!(read(&file).unwrap_err(), errno::ESTALE);
        assert_eq!(file.xattr_names().unwrap_err(), errno::ESTALE);
    }

    #[test]
    fn nothing_is_kept_that_others_may_change() {
        let shared = Fixture::new(Trust::Shared);
        shared.root.first_part().unwrap();
        fs::write(shared.path("file"), "").unwrap();
        shared.root.find(b"file").unwrap();
        assert!(shared.root.state.lock().listing.is_none());
    }

    #[test]
    fn listings_are_bounded() {
        let fixture = Fixture::new(Trust::Exclusive);
        let names: Vec<_> = (0..6).map(|number| format!("{number}")).collect();
        for name in &names {
            fs::create_dir(fixture.path(name)).unwrap();
            (0..4000).for_each(|file| fs::write(fixture.path(&format!("{name}/{file}")), "").unwrap());
        }
        let directories: Vec<_> = names
            .iter()
            .map(|name| {
                let directory = fixture.root.find(name.as_bytes()).unwrap();
                directory.first_part().unwrap();
                directory
            })
            .collect();
        let is_kept = |directory: &Arc<GoferInode>| directory.state.lock().listing.is_some();
        assert_eq!(
            directories.iter().map(is_kept).collect::<Vec<_>>(),
            [false, false, true, true, true, true]
        );
        (0..1000).for_each(|file| fs::write(fixture.path(&format!("0/more{file}")), "").unwrap());
        let first = directories[0].first_part().unwrap();
        assert!(!first.is_end && first.entries.len() >= MAX_ENTRIES && !is_kept(&directories[0]));
    }
}
