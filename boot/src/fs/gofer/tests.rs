//! Tests against a real gofer that runs on a thread.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use cloister_gofer::serve::Server;
use cloister_gofer::tree::{Access, Tree};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use tempfile::TempDir;

use super::directory::OpenDirectory;
use super::file::HostFile;
use super::handles::HostAccess;
use super::*;
use crate::error::Errno;
use crate::fs::{
    AttributeChange, Change, DirectorySink, FileKind, FileSystem, Inode, NewInode, NewInodeKind, RenameMode,
    Timestamp, XattrMode,
};
use crate::prelude::errno;

/// A folder, a gofer that serves it, and the file system. Fields are dropped in this order.
pub(super) struct Fixture {
    pub(super) root: Arc<GoferInode>,
    pub(super) file_system: Arc<GoferFs>,
    server: Option<JoinHandle<()>>,
    folder: TempDir,
}

impl Fixture {
    pub(super) fn new(trust: Trust) -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let (connection, server) = serve(folder.path());
        let file_system = GoferFs::connect(connection, trust).unwrap();
        let root = file_system.root().unwrap();
        Self { root, file_system, server: Some(server), folder }
    }

    pub(super) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn create(&self, name: &[u8]) -> Arc<GoferInode> {
        self.root.create(name, &new(NewInodeKind::Regular)).unwrap();
        self.root.find(name).unwrap()
    }
}

/// Serves a folder on a thread, until the connection ends.
pub(super) fn serve(folder: &Path) -> (OwnedFd, JoinHandle<()>) {
    serve_as(folder, Access::ReadWrite)
}

fn serve_as(folder: &Path, access: Access) -> (OwnedFd, JoinHandle<()>) {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    let path = folder.to_owned();
    let server = std::thread::spawn(move || {
        let mut server = Server::default();
        server.add_connection(theirs, Rc::new(Tree::open(&path, access).unwrap()));
        server.run().unwrap();
    });
    (ours, server)
}

pub(super) fn new(kind: NewInodeKind) -> NewInode {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    NewInode { kind, permissions: 0o640, uid, gid }
}

fn write(inode: &Arc<GoferInode>, offset: u64, mut bytes: &[u8]) -> HostFile {
    let file = Arc::clone(inode).open_file(HostAccess::Write).unwrap();
    let len = bytes.len();
    assert_eq!(file.write(offset, &mut bytes), Ok(len));
    file
}

pub(super) fn read(inode: &Arc<GoferInode>) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; 300_000];
    let len = Arc::clone(inode).open_file(HostAccess::Read)?.read(0, &mut bytes.as_mut_slice())?;
    bytes.truncate(len);
    Ok(bytes)
}

pub(super) fn as_inode(inode: &Arc<GoferInode>) -> Arc<dyn Inode> {
    Arc::clone(inode) as Arc<_>
}

#[test]
fn attributes_are_those_of_the_host() {
    let fixture = Fixture::new(Trust::Exclusive);
    fs::write(fixture.path("file"), "contents").unwrap();
    let inode = fixture.root.find(b"file").unwrap();
    let attributes = inode.attributes().unwrap();
    let meta = fs::metadata(fixture.path("file")).unwrap();
    assert_eq!((attributes.mode(), attributes.inode, attributes.size), (meta.mode(), meta.ino(), 8));
    assert_eq!((attributes.uid, attributes.gid, attributes.links), (meta.uid(), meta.gid(), 1));
    let modified =
        Timestamp { seconds: meta.mtime(), nanoseconds: u32::try_from(meta.mtime_nsec()).unwrap() };
    assert_eq!(attributes.modified, modified);
    assert!(attributes.created.is_some());
    assert_eq!(fixture.root.kind(), FileKind::Directory);
    assert_eq!(fixture.root.find(b"missing").unwrap_err(), errno::ENOENT);
    assert_eq!(inode.lookup(b"x").unwrap_err(), errno::ENOTDIR);
    let statistics = fixture.file_system.statistics().unwrap();
    assert!(statistics.blocks > 0 && statistics.name_max == 255);
    fixture.file_system.sync().unwrap();
}

#[test]
fn what_is_trusted_is_not_asked_again() {
    let exclusive = Fixture::new(Trust::Exclusive);
    fs::write(exclusive.path("file"), "1").unwrap();
    let inode = exclusive.root.find(b"file").unwrap();
    fs::write(exclusive.path("file"), "22").unwrap();
    assert_eq!(inode.attributes().unwrap().size, 1);

    let shared = Fixture::new(Trust::Shared);
    fs::write(shared.path("file"), "1").unwrap();
    let inode = shared.root.find(b"file").unwrap();
    fs::write(shared.path("file"), "22").unwrap();
    assert_eq!(inode.attributes().unwrap().size, 2);
    // The same file under another name, then another file under the old name.
    fs::rename(shared.path("file"), shared.path("moved")).unwrap();
    let moved = shared.root.find(b"moved").unwrap();
    assert!(Arc::ptr_eq(&inode, &moved));
    fs::write(shared.path("file"), "333").unwrap();
    assert!(!Arc::ptr_eq(&inode, &shared.root.find(b"file").unwrap()));
    assert_eq!(read(&moved).unwrap(), b"22");
}

#[test]
fn contents_are_read_and_written_on_the_host() {
    let fixture = Fixture::new(Trust::Exclusive);
    let inode = fixture.create(b"file");
    let long = vec![7; 200_000];
    let file = write(&inode, 10, &long);
    assert_eq!(fs::read(fixture.path("file")).unwrap().len(), 200_010);
    assert_eq!(inode.attributes().unwrap().size, 200_010);
    assert_eq!(file.write_at_end(&mut &b"end"[..]), Ok((200_013, 3)));
    assert_eq!(read(&inode).unwrap().split_off(10), [&long[..], b"end"].concat());
    let mut middle = [0; 5];
    assert_eq!(file.read(200_011, &mut middle.as_mut_slice()), Ok(2));
    assert_eq!(file.read(200_013, &mut middle.as_mut_slice()), Ok(0));
    drop(file);
    // The size is right also when the descriptor that changed it has gone.
    assert_eq!(inode.attributes().unwrap().size, 200_013);
}

#[test]
fn descriptors_are_shared_and_bounded() {
    let fixture = Fixture::new(Trust::Exclusive);
    let names: Vec<_> = (0..300).map(|number| format!("{number}")).collect();
    names.iter().for_each(|name| fs::write(fixture.path(name), name).unwrap());
    let inodes: Vec<_> = names
        .iter()
        .map(|name| {
            let inode = fixture.root.find(name.as_bytes()).unwrap();
            assert_eq!(read(&inode).unwrap(), name.as_bytes());
            inode
        })
        .collect();
    let held = inodes.iter().filter(|inode| inode.state.lock().handles.any().is_some()).count();
    assert_eq!(held, 256);
    // One that was closed is opened anew.
    assert_eq!(read(&inodes[0]).unwrap(), b"0");
    let (first, second) = (inodes[299].host(HostAccess::Read), inodes[299].host(HostAccess::Read));
    assert!(Arc::ptr_eq(&first.unwrap(), &second.unwrap()));
    // None is kept open for writing.
    drop(write(&inodes[5], 0, b"x"));
    assert!(inodes[5].state.lock().handles.writer().is_none());
}

#[test]
fn files_are_opened_ahead_while_it_pays() {
    let fixture = Fixture::new(Trust::Exclusive);
    // Too large to be listed as names are looked up.
    fs::create_dir(fixture.path("d")).unwrap();
    (0..300).for_each(|number| fs::write(fixture.path(&format!("d/{number:050}")), "").unwrap());
    let directory = fixture.root.find(b"d").unwrap();
    let find = |number: u32| directory.find(format!("{number:050}").as_bytes()).unwrap();
    let is_open = |inode: &Arc<GoferInode>| inode.state.lock().handles.any().is_some();
    assert!(is_open(&find(0)));
    // Each that is forgotten unopened speaks against it.
    assert!((0..100).filter(|&number| is_open(&find(number))).count() < 50);
    assert!(!is_open(&find(0)));
    // Each that is opened speaks for it.
    let opened: Vec<_> = (100..200)
        .map(|number| {
            let inode = find(number);
            read(&inode).unwrap();
            inode
        })
        .collect();
    assert!(is_open(&find(200)));
    assert_eq!(opened.len(), 100);
    // Where others change the files, what was opened ahead would have to be asked for again.
    let shared = Fixture::new(Trust::Shared);
    fs::write(shared.path("file"), "").unwrap();
    assert!(!is_open(&shared.root.find(b"file").unwrap()));
}

#[test]
fn a_file_with_several_names_is_one() {
    let fixture = Fixture::new(Trust::Exclusive);
    let inode = fixture.create(b"a");
    drop(write(&inode, 0, b"text"));
    fixture.root.link(b"b", &as_inode(&inode)).unwrap();
    assert_eq!(inode.attributes().unwrap().links, 2);
    assert!(Arc::ptr_eq(&inode, &fixture.root.find(b"b").unwrap()));
    fixture.root.unlink(b"a", &as_inode(&inode)).unwrap();
    assert_eq!(inode.attributes().unwrap().links, 1);
    // It is opened by the name that is left.
    inode.close_reader();
    assert_eq!(read(&inode).unwrap(), b"text");
    // A rename over one of its names takes that name from it, without telling it.
    fixture.root.link(b"c", &as_inode(&inode)).unwrap();
    fixture.create(b"new");
    fixture.root.rename(b"new", &as_inode(&fixture.root), b"b", RenameMode::Replace).unwrap();
    assert_eq!(inode.attributes().unwrap().links, 1);
    inode.close_reader();
    assert_eq!(read(&inode).unwrap(), b"text");
}

#[test]
fn a_removed_file_lives_on_while_it_is_open() {
    let fixture = Fixture::new(Trust::Exclusive);
    let inode = fixture.create(b"file");
    let file = write(&inode, 0, b"text");
    fixture.root.unlink(b"file", &as_inode(&inode)).unwrap();
    assert_eq!(inode.attributes().unwrap().links, 0);
    let size = Some(2);
    inode.set_attributes(&AttributeChange { size, ..AttributeChange::default() }).unwrap();
    let mut bytes = [0; 10];
    assert_eq!(file.read(0, &mut bytes.as_mut_slice()), Ok(2));
    assert_eq!(fixture.root.find(b"file").unwrap_err(), errno::ENOENT);
}

#[test]
fn names_are_made_moved_and_removed() {
    let fixture = Fixture::new(Trust::Exclusive);
    let root = as_inode(&fixture.root);
    let before = root.attributes().unwrap().links;
    let dir = root.create(b"dir", &new(NewInodeKind::Directory)).unwrap();
    assert_eq!(root.attributes().unwrap().links, before + 1);
    let target = b"dir/file".to_vec();
    root.create(b"link", &new(NewInodeKind::Symlink(target.clone()))).unwrap();
    assert_eq!(fixture.root.find(b"link").unwrap().target(), Ok(target));
    assert_eq!(fixture.root.target(), Err(errno::EINVAL));
    let fifo = root.create(b"fifo", &new(NewInodeKind::Fifo)).unwrap();
    assert_eq!(fifo.kind(), FileKind::Fifo);
    assert_eq!(root.create(b"tty", &new(NewInodeKind::CharDevice(5, 0))).unwrap_err(), errno::EPERM);
    assert_eq!(root.create(b"dir", &new(NewInodeKind::Directory)).unwrap_err(), errno::EEXIST);
    assert_eq!(root.create(b"dir", &new(NewInodeKind::Regular)).unwrap_err(), errno::EEXIST);

    let inode = fixture.create(b"file");
    drop(write(&inode, 0, b"text"));
    root.rename(b"file", &dir, b"moved", RenameMode::NoReplace).unwrap();
    assert_eq!(read(&inode).unwrap(), b"text");
    assert_eq!(fs::read(fixture.path("dir/moved")).unwrap(), b"text");
    assert_eq!(root.rename(b"fifo", &dir, b"moved", RenameMode::NoReplace), Err(errno::EEXIST));
    root.rename(b"fifo", &dir, b"moved", RenameMode::Exchange).unwrap();
    inode.close_reader();
    assert_eq!(read(&inode).unwrap(), b"text");
    assert_eq!(root.remove_directory(b"dir", &dir), Err(errno::ENOTEMPTY));
    dir.unlink(b"moved", &fifo).unwrap();
    root.remove_directory(b"dir", &dir).unwrap();
    assert!(!fixture.path("dir").exists());
}

#[test]
fn attributes_are_changed() {
    let fixture = Fixture::new(Trust::Exclusive);
    let inode = fixture.create(b"file");
    drop(write(&inode, 0, b"contents"));
    let time = Timestamp { seconds: 1_000_000, nanoseconds: 5 };
    let change = AttributeChange {
        permissions: Some(0o4755),
        size: Some(3),
        modified: Some(Change::To(time)),
        ..AttributeChange::default()
    };
    inode.set_attributes(&change).unwrap();
    let attributes = inode.attributes().unwrap();
    assert_eq!((attributes.permissions, attributes.size, attributes.modified), (0o4755, 3, time));
    let size = Some(0);
    let truncation = AttributeChange { size, modified: Some(Change::Now), ..AttributeChange::default() };
    inode.set_attributes(&truncation).unwrap();
    let attributes = inode.attributes().unwrap();
    assert!(attributes.size == 0 && attributes.modified > time);
    assert_eq!(fixture.root.set_attributes(&truncation), Err(errno::EISDIR));

    inode.set_xattr(b"user.test", b"value", XattrMode::Create).unwrap();
    assert_eq!(inode.set_xattr(b"user.test", b"v", XattrMode::Create), Err(errno::EEXIST));
    assert_eq!(inode.set_xattr(b"user.other", b"v", XattrMode::Replace), Err(errno::ENODATA));
    assert_eq!(inode.xattr(b"user.test").unwrap(), b"value");
    assert_eq!(inode.xattr_names().unwrap(), [b"user.test".to_vec()]);
    inode.remove_xattr(b"user.test").unwrap();
    assert_eq!(inode.xattr(b"user.test"), Err(errno::ENODATA));
    // That it is missing was noted.
    inode.set_xattr(b"user.test", b"again", XattrMode::Any).unwrap();
    assert_eq!(inode.xattr(b"user.test").unwrap(), b"again");
}

#[test]
fn the_owner_of_an_open_file_is_known() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only the superuser can give files away");
        return;
    }
    let owner = |inode: &Arc<GoferInode>| {
        let attributes = inode.attributes().unwrap();
        (attributes.uid, attributes.gid)
    };
    let exclusive = Fixture::new(Trust::Exclusive);
    let inode = exclusive.create(b"file");
    let _file = write(&inode, 0, b"x");
    let change = AttributeChange { uid: Some(5), gid: Some(6), ..AttributeChange::default() };
    inode.set_attributes(&change).unwrap();
    assert_eq!(owner(&inode), (5, 6));

    let shared = Fixture::new(Trust::Shared);
    let inode = shared.create(b"file");
    let _file = write(&inode, 0, b"x");
    assert_eq!(owner(&inode), (0, 0));
    std::os::unix::fs::chown(shared.path("file"), Some(7), Some(8)).unwrap();
    assert_eq!(owner(&inode), (7, 8));
}

/// Takes up to `room` entries at a time.
struct Names {
    names: Vec<(String, FileKind)>,
    room: usize,
}

impl DirectorySink for Names {
    fn entry(&mut self, _inode: u64, _next: u64, kind: FileKind, name: &[u8]) -> bool {
        if self.room == 0 {
            return false;
        }
        self.room -= 1;
        self.names.push((String::from_utf8(name.to_vec()).unwrap(), kind));
        true
    }
}

fn list(directory: &OpenDirectory, step: usize) -> Vec<(String, FileKind)> {
    let mut sink = Names { names: Vec::new(), room: 0 };
    let mut position = 0;
    loop {
        let len = sink.names.len();
        sink.room = step;
        directory.read(&mut position, &mut sink).unwrap();
        if sink.names.len() == len {
            sink.names.sort_by(|a, b| a.0.cmp(&b.0));
            return sink.names;
        }
    }
}

#[test]
fn directories_are_listed_in_steps_of_any_size() {
    let fixture = Fixture::new(Trust::Exclusive);
    (0..1000).for_each(|number| fs::write(fixture.path(&format!("{number:04}")), "").unwrap());
    symlink("x", fixture.path("link")).unwrap();
    let directory = OpenDirectory::new(Arc::clone(&fixture.root));
    let all = list(&directory, usize::MAX);
    assert_eq!(all.len(), 1003);
    assert_eq!(all[0], (".".to_owned(), FileKind::Directory));
    assert_eq!(all[1].0, "..");
    assert_eq!(all[2], ("0000".to_owned(), FileKind::Regular));
    assert_eq!(all[1002], ("link".to_owned(), FileKind::Symlink));
    assert_eq!(list(&directory, 1), all);
    assert_eq!(list(&directory, 7), all);
    // From the beginning it sees what is new.
    fixture.create(b"new");
    assert_eq!(list(&directory, 100).len(), 1004);
    let shared = Fixture::new(Trust::Shared);
    let directory = OpenDirectory::new(Arc::clone(&shared.root));
    assert_eq!(list(&directory, 1).len(), 2);
    fs::write(shared.path("new"), "").unwrap();
    assert_eq!(list(&directory, 1).len(), 3);
}

#[test]
fn a_single_file_can_be_the_root() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hosts");
    fs::write(&path, "localhost").unwrap();
    let (ours, server) = serve_as(&path, Access::ReadOnly);
    let file_system = GoferFs::connect(ours, Trust::Shared).unwrap();
    let root = file_system.root().unwrap();
    assert_eq!(root.kind(), FileKind::Regular);
    assert_eq!(read(&root).unwrap(), b"localhost");
    let refused = Arc::clone(&root).open_file(HostAccess::Write);
    assert_eq!(refused.unwrap_err(), errno::EROFS);
    drop((root, file_system));
    server.join().unwrap();
    assert!(Path::new(&path).exists());
}

#[test]
fn without_a_gofer_only_what_is_open_works() {
    let mut fixture = Fixture::new(Trust::Exclusive);
    fs::write(fixture.path("file"), "text").unwrap();
    let inode = fixture.root.find(b"file").unwrap();
    assert_eq!(read(&inode).unwrap(), b"text");
    fixture.file_system.disconnect();
    fixture.server.take().unwrap().join().unwrap();
    assert_eq!(fixture.root.find(b"other").unwrap_err(), errno::EIO);
    assert_eq!(read(&inode).unwrap(), b"text");
    assert_eq!(inode.attributes().unwrap().size, 4);
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if let Some(server) = self.server.take().filter(|_| !std::thread::panicking()) {
            self.file_system.disconnect();
            server.join().unwrap();
        }
    }
}
