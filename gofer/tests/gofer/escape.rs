//! A client does not get out of the tree, whatever names it gives and whatever happens to the tree meanwhile.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{connect, number, serve};
use cloister_9p::base::attach::{Rattach, Tattach};
use cloister_9p::base::version::{Rversion, Tversion};
use cloister_9p::base::walk::{Rwalk, Twalk};
use cloister_9p::codec::List;
use cloister_9p::{Decode, NO_FID, NO_TAG, NO_UID, Qid, frame};
use cloister_gofer::session::{Reply, Session};
use cloister_gofer::tree::{Access, Tree};
use rustix::io::Errno;

/// A folder that holds `tree` and, outside of it, `secret`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("tree/dir/below")).unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    folder
}

#[test]
fn names_with_a_meaning_are_refused() {
    let folder = folder();
    let (_server, socket) = serve(&folder.path().join("tree"), Access::ReadWrite);
    let (mut client, root) = connect(socket);
    for name in [&b".."[..], b".", b"", b"../secret", b"dir/below", b"/etc/passwd", b"dir\0x", b"/"] {
        let walk = client.walk_attr(root, &[name]).unwrap();
        assert_eq!((walk.found.len(), walk.error.map(number)), (0, Some(Errno::INVAL)), "{name:?}");
        let new = crate::common::new_file(0o600);
        assert_eq!(crate::common::errno(client.create(root, name, 0, new)), Errno::INVAL);
        assert_eq!(crate::common::errno(client.mkdir(root, name, new)), Errno::INVAL);
        assert_eq!(crate::common::errno(client.unlinkat(root, name, 0)), Errno::INVAL);
        assert_eq!(crate::common::errno(client.renameat((root, b"dir"), (root, name), 0)), Errno::INVAL);
        assert_eq!(crate::common::errno(client.link(root, name, root)), Errno::INVAL);
    }
}

/// A session over `tree`, with fid 0 at its root.
struct Raw(Session, Reply);

impl Raw {
    fn new(tree: &Path) -> Self {
        let tree = Tree::open(tree, Access::ReadWrite).unwrap();
        let mut raw = Self(Session::new(tree.into()), Reply::default());
        raw.call(&Tversion { msize: 65536, version: b"9P2000.L" }, NO_TAG);
        raw.reply::<Rversion<'_>>();
        raw.call(&Tattach { fid: 0, afid: NO_FID, uname: b"", aname: b"", n_uname: NO_UID }, 0);
        raw.reply::<Rattach>();
        raw
    }

    fn call(&mut self, request: &impl cloister_9p::Encode, tag: u16) {
        let mut bytes = Vec::new();
        frame::encode(request, tag, 65536, &mut bytes).unwrap();
        let (frame, _) = frame::split(&bytes, 65536).unwrap().unwrap();
        self.0.handle(frame, &mut self.1);
    }

    fn reply<'a, M: Decode<'a>>(&'a self) -> M {
        let (frame, _) = frame::split(&self.1.bytes, 65536).unwrap().unwrap();
        assert_eq!(frame.kind, M::TYPE);
        M::decode(frame.body).unwrap()
    }

    fn walk(&mut self, names: &[&[u8]]) -> Vec<Qid> {
        self.call(&Twalk { fid: 0, newfid: 1, names: List(names.to_vec()) }, 0);
        let qids = self.reply::<Rwalk>().qids.0;
        if qids.len() == names.len() {
            self.call(&cloister_9p::base::clunk::Tclunk { fid: 1 }, 0);
        }
        qids
    }
}

#[test]
fn the_way_up_ends_at_the_root() {
    let folder = folder();
    let mut raw = Raw::new(&folder.path().join("tree"));
    let root = raw.walk(&[b"dir", b".."])[1];
    let ups = raw.walk(&[b"..", b"..", b"..", b"dir", b"..", b".."]);
    assert!(ups.len() == 6 && ups[..3].iter().chain(&ups[4..]).all(|&qid| qid == root), "{ups:?}");
    assert_eq!(raw.walk(&[b"dir", b"..", b"..", b"secret"]).len(), 3);
}

#[test]
fn a_listing_tells_nothing_of_what_is_above() {
    let folder = folder();
    let tree = folder.path().join("tree");
    let (_server, socket) = serve(&tree, Access::ReadWrite);
    let (mut client, root) = connect(socket);
    let own = client.getattr(root).unwrap();
    let entries = client.readdir_attr(root, 0).unwrap().entries;
    let up = entries.iter().find(|entry| entry.name == b"..").unwrap();
    assert_eq!((up.ino, up.dev, up.attr), (own.ino, Some(own.dev), None));
}

#[test]
fn symbolic_links_are_never_followed() {
    let folder = folder();
    let tree = folder.path().join("tree");
    symlink(folder.path(), tree.join("absolute")).unwrap();
    symlink("..", tree.join("relative")).unwrap();
    symlink("/proc/self/root", tree.join("magic")).unwrap();
    symlink(folder.path().join("secret"), tree.join("file")).unwrap();
    let (_server, socket) = serve(&tree, Access::ReadWrite);
    let (mut client, root) = connect(socket);
    for name in [&b"absolute"[..], b"relative", b"magic"] {
        let walk = client.walk_attr(root, &[name, b"secret"]).unwrap();
        assert_eq!((walk.found.len(), walk.error.map(number)), (1, Some(Errno::LOOP)));
        let link = walk.found[0].fid;
        assert_eq!(crate::common::errno(client.open(link, 0)), Errno::LOOP);
        assert_eq!(crate::common::errno(client.readdir_attr(link, 0)), Errno::NOTDIR);
        assert_eq!(
            crate::common::errno(client.create(link, b"new", 0, crate::common::new_file(0o600))),
            Errno::NOTDIR
        );
        assert!(client.unlinkat(link, b"secret", 0).is_err());
    }
    let link = client.walk_attr(root, &[b"file"]).unwrap().found[0].fid;
    assert_eq!(crate::common::errno(client.open(link, 0)), Errno::LOOP);
    assert_eq!(
        crate::common::errno(client.create(root, b"file", 0, crate::common::new_file(0o600))),
        Errno::EXIST
    );
    // A hard link to the link, not to what it points to.
    client.link(root, b"hard", link).unwrap();
    assert!(fs::symlink_metadata(tree.join("hard")).unwrap().is_symlink());
    assert!(!folder.path().join("new").exists() && folder.path().join("secret").exists());
}

/// Exchanges a directory and a link to the outside, over and over, while a client walks through that name.
#[test]
fn a_directory_that_becomes_a_link_is_not_left() {
    let folder = folder();
    let tree = folder.path().join("tree");
    fs::write(tree.join("dir/secret"), "inside").unwrap();
    symlink(folder.path(), tree.join("link")).unwrap();
    let (_server, socket) = serve(&tree, Access::ReadWrite);
    let (mut client, root) = connect(socket);
    let is_done = AtomicBool::new(false);
    let (dir, link) = (tree.join("dir"), tree.join("link"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                let (cwd, exchange) = (rustix::fs::CWD, rustix::fs::RenameFlags::EXCHANGE);
                rustix::fs::renameat_with(cwd, &dir, cwd, &link, exchange).unwrap();
            }
        });
        for _ in 0..3000 {
            let walk = client.walk_open(root, &[b"dir", b"secret"], 0).unwrap();
            if let Some(Ok(fd)) = walk.opened {
                assert_eq!(std::io::read_to_string(fs::File::from(fd)).unwrap(), "inside");
            }
            let fids: Vec<_> = walk.found.iter().map(|found| found.fid).collect();
            client.clunk_many(&fids).unwrap();
        }
        is_done.store(true, Ordering::Relaxed);
    });
}
