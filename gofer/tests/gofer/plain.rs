//! Our client without the extensions: against our server, and against one that we did not write.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::thread::JoinHandle;

use cloister_9p::Client;
use cloister_9p::client::{Fid, Opened, SetAttr};
use cloister_gofer::tree::Access;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::common::{errno, new_file, number, serve, sockets};

/// Serves `path` by the server of the crate `p9`, of crosvm's authors, until the connection is closed.
fn serve_by_p9(path: &Path) -> (OwnedFd, JoinHandle<()>) {
    let (ours, theirs) = sockets();
    let path = path.to_owned();
    let thread = std::thread::spawn(move || {
        let mut server = p9::Server::new(path, Default::default(), Default::default()).unwrap();
        let (mut reader, mut writer) = (fs::File::from(theirs.try_clone().unwrap()), fs::File::from(theirs));
        while server.handle_message(&mut reader, &mut writer).is_ok() {}
    });
    (ours, thread)
}

fn open(client: &mut Client, fid: Fid, flags: OFlags) -> Fid {
    match client.open(fid, flags.bits()).unwrap() {
        Opened::Remote(open) => open,
        Opened::Host(_) => panic!("a standard server cannot give descriptors"),
    }
}

/// Uses all that a standard server must have.
fn use_plainly(mut client: Client, folder: &Path) {
    assert!(!client.has_extensions());
    fs::create_dir_all(folder.join("a/b")).unwrap();
    fs::write(folder.join("a/b/file"), "contents").unwrap();
    symlink("a/b", folder.join("link")).unwrap();
    let root = client.attach(b"", 0).unwrap();

    let walk = client.walk_attr(root, &[b"a", b"b", b"file"]).unwrap();
    assert_eq!((walk.found.len(), walk.error), (3, None));
    let (file, attr) = (walk.found[2].fid, walk.found[2].attr);
    let meta = fs::metadata(folder.join("a/b/file")).unwrap();
    assert_eq!((attr.size, attr.mode, attr.mtime.sec), (8, meta.mode(), meta.mtime()));
    let walk = client.walk_attr(root, &[b"a", b"missing"]).unwrap();
    assert_eq!((walk.found.len(), walk.error.map(number)), (1, Some(Errno::NOENT)));
    let walk = client.walk_attr(root, &[b"link", b"file"]).unwrap();
    assert_eq!((walk.found.len(), walk.error.map(number)), (1, Some(Errno::LOOP)));
    assert_eq!(walk.target.as_deref(), Some(&b"a/b"[..]));

    let handle = open(&mut client, file, OFlags::RDWR);
    let mut bytes = [0; 20];
    assert_eq!(client.read(handle, &mut bytes, 3).unwrap(), 5);
    assert_eq!(&bytes[..5], b"tents");
    assert_eq!(client.write(handle, b"CON", 0).unwrap(), 3);
    assert_eq!(fs::read(folder.join("a/b/file")).unwrap(), b"CONtents");
    client.clunk(handle).unwrap();

    let new = new_file(0o640);
    let created = client.create(root, b"new", OFlags::RDWR.bits(), new).unwrap();
    let Opened::Remote(handle) = created.opened else { panic!("no descriptor can come") };
    assert_eq!(client.write(handle, b"new", 0).unwrap(), 3);
    client.fsync(handle, true).unwrap();
    assert_eq!(errno(client.create(root, b"new", 0, new)), Errno::EXIST);
    assert_eq!(fs::read(folder.join("new")).unwrap(), b"new");
    client.setattr(created.fid, &SetAttr { size: Some(1), ..SetAttr::default() }).unwrap();
    assert_eq!(client.getattr(created.fid).unwrap().size, 1);

    let made = client.mkdir(root, b"dir", new_file(0o750)).unwrap();
    client.link(made.fid, b"hard", created.fid).unwrap();
    assert_eq!(client.getattr(created.fid).unwrap().nlink, 2);
    client.renameat((made.fid, b"hard"), (root, b"moved"), 0).unwrap();
    assert_eq!(errno(client.renameat((root, b"moved"), (root, b"x"), 1)), Errno::INVAL);
    client.unlinkat(root, b"moved", 0).unwrap();

    (0..300).for_each(|name| fs::write(folder.join(format!("dir/{name:0200}")), "").unwrap());
    assert_eq!(errno(client.unlinkat(root, b"dir", 0x200)), Errno::NOTEMPTY);
    let (mut names, mut offset) = (Vec::new(), 0);
    loop {
        let entries = client.readdir_attr(made.fid, offset).unwrap().entries;
        let Some(last) = entries.last() else { break };
        offset = last.offset;
        names.extend(entries.into_iter().map(|entry| entry.name));
    }
    names.retain(|name| !name.starts_with(b"."));
    assert_eq!(names.len(), 300);
    assert!(client.statfs(root).unwrap().blocks > 0);
    client.clunk_many(&[file, created.fid, made.fid]).unwrap();
}

#[test]
fn our_client_speaks_the_standard_to_our_server() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let (_server, socket) = serve(folder.path(), Access::ReadWrite);
    let mut client = Client::connect_plain(socket.try_clone().unwrap()).unwrap();

    // What the other server lacks.
    let root = client.attach(b"/", 0).unwrap();
    client.setxattr(root, b"user.test", &[7; 3000], 0).unwrap();
    assert_eq!(client.getxattr(root, b"user.test").unwrap(), [7; 3000]);
    assert_eq!(client.listxattr(root).unwrap(), b"user.test\0");
    assert_eq!(errno(client.setxattr(root, b"user.test", b"", 1)), Errno::EXIST);
    client.removexattr(root, b"user.test").unwrap();
    assert_eq!(client.listxattr(root).unwrap(), b"");
    assert_eq!(errno(client.getxattr(root, b"user.test")), Errno::NODATA);
    let fifo = client.mknod(root, b"fifo", 0o010_000, 0, new_file(0o622)).unwrap();
    assert_eq!((fifo.attr.mode, fifo.attr.uid), (0o010_622, new_file(0).uid));
    let link = client.symlink(root, b"symlink", b"target", new_file(0o777)).unwrap();
    assert_eq!(client.readlink(link.fid).unwrap(), b"target");
    client.clunk_many(&[root, fifo.fid, link.fid]).unwrap();

    use_plainly(client, folder.path());
}

#[test]
fn our_client_speaks_the_standard_to_another_server() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, server) = serve_by_p9(folder.path());
    let client = Client::connect(socket).unwrap();
    use_plainly(client, folder.path());
    server.join().unwrap();
}
