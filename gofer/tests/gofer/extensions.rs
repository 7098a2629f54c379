//! Every request of our client, with the extensions.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use crate::common::{connect, errno, new_file, number, serve};
use cloister_9p::Time;
use cloister_9p::client::{DirEntry, Opened, SetAttr, SetTime};
use cloister_gofer::tree::Access;
use rustix::fs::OFlags;
use rustix::io::Errno;

fn file(opened: Opened) -> File {
    match opened {
        Opened::Host(fd) => File::from(fd),
        Opened::Remote(_) => panic!("a descriptor was expected"),
    }
}

#[test]
fn a_walk_gives_the_attributes_of_every_element() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("a/b")).unwrap();
    fs::write(folder.path().join("a/b/file"), "contents").unwrap();
    let (_server, socket) = serve(folder.path(), Access::ReadWrite);
    let (mut client, root) = connect(socket);

    let walk = client.walk_attr(root, &[b"a", b"b", b"file"]).unwrap();
    assert_eq!((walk.found.len(), walk.error), (3, None));
    let meta = fs::metadata(folder.path().join("a/b/file")).unwrap();
    let attr = walk.found[2].attr;
    assert_eq!((attr.size, attr.ino, attr.dev), (8, meta.ino(), meta.dev()));
    assert_eq!((attr.mode, attr.uid, attr.gid), (meta.mode(), meta.uid(), meta.gid()));
    assert_eq!((attr.mtime.sec, i64::from(attr.mtime.nsec)), (meta.mtime(), meta.mtime_nsec()));
    assert!(walk.found[0].attr.is_dir() && walk.found[1].attr.is_dir() && attr.is_regular());

    // Every element has a fid of its own.
    let again = client.walk_attr(walk.found[1].fid, &[b"file"]).unwrap();
    assert_eq!(again.found[0].attr, attr);
    assert_eq!(client.getattr(walk.found[2].fid).unwrap(), attr);
}

#[test]
fn a_walk_stops_where_it_cannot_go_on() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("dir")).unwrap();
    fs::write(folder.path().join("dir/file"), "").unwrap();
    symlink("dir/file", folder.path().join("link")).unwrap();
    let (_server, socket) = serve(folder.path(), Access::ReadWrite);
    let (mut client, root) = connect(socket);

    let walk = client.walk_attr(root, &[b"dir", b"missing", b"x"]).unwrap();
    assert_eq!((walk.found.len(), walk.error.map(number)), (1, Some(Errno::NOENT)));
    let walk = client.walk_attr(root, &[b"dir", b"file", b"x"]).unwrap();
    assert_eq!((walk.found.len(), walk.error.map(number)), (2, Some(Errno::NOTDIR)));
    let walk = client.walk_attr(root, &[b"link", b"x"]).unwrap();
    assert_eq!((walk.found.len(), walk.error.map(number)), (1, Some(Errno::LOOP)));
    assert_eq!(walk.target.as_deref(), Some(&b"dir/file"[..]));
    let walk = client.walk_attr(root, &[b"link"]).unwrap();
    assert_eq!((walk.error, walk.target.as_deref()), (None, Some(&b"dir/file"[..])));
    assert_eq!(client.readlink(walk.found[0].fid).unwrap(), b"dir/file");
    // Fids of what was not reached are free for the next walk.
    assert_eq!(client.walk_attr(root, &[b"dir", b"file"]).unwrap().found.len(), 2);
}

#[test]
fn opens_give_descriptors_of_regular_files_only() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "contents").unwrap();
    fs::create_dir(folder.path().join("dir")).unwrap();
    symlink("file", folder.path().join("link")).unwrap();
    let fifo = folder.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let (_server, socket) = serve(folder.path(), Access::ReadWrite);
    let (mut client, root) = connect(socket);
    let rdwr = OFlags::RDWR.bits();

    let walk = client.walk_open(root, &[b"file"], rdwr).unwrap();
    let mut open = File::from(walk.opened.unwrap().unwrap());
    let mut text = String::new();
    open.read_to_string(&mut text).unwrap();
    assert_eq!(text, "contents");
    assert_eq!(client.walk_attr(walk.found[0].fid, &[b"x"]).unwrap().error.map(number), Some(Errno::NOTDIR));

    // A fid can be opened again, also when its file was renamed meanwhile through this connection.
    client.renameat((root, b"file"), (root, b"other"), 0).unwrap();
    let truncated = client.open(walk.found[0].fid, (OFlags::WRONLY | OFlags::TRUNC).bits()).unwrap();
    file(truncated).write_all(b"new").unwrap();
    assert_eq!(fs::read(folder.path().join("other")).unwrap(), b"new");

    for (name, error) in [(&b"dir"[..], Errno::ISDIR), (b"link", Errno::LOOP), (b"fifo", Errno::NXIO)] {
        let walk = client.walk_open(root, &[name], rdwr).unwrap();
        assert!(walk.opened.is_none(), "{name:?}");
        assert_eq!(errno(client.open(walk.found[0].fid, OFlags::RDONLY.bits())), error, "{name:?}");
    }
}

#[test]
fn an_open_of_what_was_replaced_is_stale() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "old").unwrap();
    let (_server, socket) = serve(folder.path(), Access::ReadWrite);
    let (mut client, root) = connect(socket);
    let found = client.walk_attr(root, &[b"file"]).unwrap().found[0];
    // The old file stays open, so that its number is not used again.
    let _old = File::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(errno(client.open(found.fid, 0)), Errno::STALE);
    fs::write(&path, "new").unwrap();
    let truncate = (OFlags::WRONLY | OFlags::TRUNC).bits();
    assert_eq!(errno(client.open(found.fid, truncate)), Errno::STALE);
    assert_eq!(fs::read(&path).unwrap(), b"new");
    // What needs no open reaches the old file still.
    assert_eq!(client.getattr(found.fid).unwrap().nlink, 0);
}

#[test]
fn new_files_have_the_owners_and_bits_named() {
    let folder = tempfile::tempdir().unwrap();
    // Not even a directory's set-group-id bit changes them.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o2777)).unwrap();
    let (_server, socket) = serve(folder.path(), Access::ReadWrite);
    let (mut client, root) = connect(socket);
    let check = |name: &str, mode: u32| {
        let meta = fs::symlink_metadata(folder.path().join(name)).unwrap();
        let expected = new_file(mode);
        assert_eq!((meta.uid(), meta.gid()), (expected.uid, expected.gid), "{name}");
        assert_eq!(meta.mode() & 0o7777, mode, "{name}");
    };

    let created = client.create(root, b"file", OFlags::RDWR.bits(), new_file(0o6677)).unwrap();
    file(created.opened).write_all(b"x").unwrap();
    check("file", 0o6677);
    assert_eq!(errno(client.create(root, b"file", 0, new_file(0o600))), Errno::EXIST);
    let made = client.mkdir(root, b"dir", new_file(0o1757)).unwrap();
    check("dir", 0o1757);
    assert_eq!(made.attr.mode, 0o041_757);
    client.symlink(root, b"link", b"target", new_file(0o777)).unwrap();
    check("link", 0o777);
    client.mknod(root, b"fifo", 0o010_000, 0, new_file(0o666)).unwrap();
    check("fifo", 0o666);
    client.mknod(root, b"socket", 0o140_000, 0, new_file(0o640)).unwrap();
    check("socket", 0o640);
    client.mknod(root, b"whiteout", 0o020_000, 0, new_file(0)).unwrap();
    check("whiteout", 0);
    // A node of the host's memory device would be the host's memory.
    let memory = rustix::fs::makedev(1, 1);
    assert_eq!(errno(client.mknod(root, b"mem", 0o020_000, memory, new_file(0o666))), Errno::PERM);
    assert_eq!(errno(client.mknod(root, b"disk", 0o060_000, memory, new_file(0o666))), Errno::PERM);
    assert!(!folder.path().join("mem").exists() && !folder.path().join("disk").exists());
}

#[test]
fn links_renames_and_removals() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "a").unwrap();
    fs::write(folder.path().join("b"), "b").unwrap();
    fs::create_dir(folder.path().join("dir")).unwrap();
    let (_server, socket) = serve(folder.path(), Access::ReadWrite);
    let (mut client, root) = connect(socket);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let [a, b, dir] =
        [&b"a"[..], b"b", b"dir"].map(|name| client.walk_attr(root, &[name]).unwrap().found[0].fid);

    client.link(dir, b"hard", a).unwrap();
    assert_eq!(client.getattr(a).unwrap().nlink, 2);
    assert_eq!(read("dir/hard"), "a");
    let (noreplace, exchange) = (1, 2);
    assert_eq!(errno(client.renameat((root, b"a"), (root, b"b"), noreplace)), Errno::EXIST);
    client.renameat((root, b"a"), (root, b"b"), exchange).unwrap();
    assert_eq!((read("a"), read("b")), ("b".to_owned(), "a".to_owned()));
    // Fids follow their files through the exchange.
    for (fid, text) in [(a, "a"), (b, "b")] {
        assert_eq!(std::io::read_to_string(file(client.open(fid, 0).unwrap())).unwrap(), text);
    }
    assert_eq!(errno(client.unlinkat(root, b"dir", 0)), Errno::ISDIR);
    assert_eq!(errno(client.unlinkat(root, b"dir", 0x200)), Errno::NOTEMPTY);
    client.unlinkat(dir, b"hard", 0).unwrap();
    client.unlinkat(root, b"dir", 0x200).unwrap();
    assert_eq!(errno(client.unlinkat(root, b"a", 0x400)), Errno::INVAL);
    assert!(!folder.path().join("dir").exists());
}

#[test]
fn attributes_are_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "contents").unwrap();
    symlink("nowhere", folder.path().join("link")).unwrap();
    let (_server, socket) = serve(folder.path(), Access::ReadWrite);
    let (mut client, root) = connect(socket);
    let fid = client.walk_attr(root, &[b"file"]).unwrap().found[0].fid;

    let new = new_file(0o4711);
    let (uid, gid, mode) = (Some(new.uid), Some(new.gid), Some(new.mode));
    let time = Time { sec: -5, nsec: 7 };
    let mtime = Some(SetTime::To(time));
    client.setattr(fid, &SetAttr { mode, uid, gid, size: Some(3), mtime, ..SetAttr::default() }).unwrap();
    let attr = client.getattr(fid).unwrap();
    assert_eq!((attr.mode & 0o7777, attr.uid, attr.gid), (new.mode, new.uid, new.gid));
    assert_eq!((attr.size, attr.mtime), (3, time));
    assert_eq!(fs::read(&path).unwrap(), b"con");
    client.setattr(fid, &SetAttr { mtime: Some(SetTime::Now), ..SetAttr::default() }).unwrap();
    assert!(client.getattr(fid).unwrap().mtime.sec > 1_000_000_000);

    // A link itself is changed, never its target.
    let link = client.walk_attr(root, &[b"link"]).unwrap().found[0].fid;
    client.setattr(link, &SetAttr { atime: mtime, uid, gid, ..SetAttr::default() }).unwrap();
    assert_eq!(fs::symlink_metadata(folder.path().join("link")).unwrap().uid(), new.uid);
    assert_eq!(errno(client.setattr(link, &SetAttr { mode, ..SetAttr::default() })), Errno::OPNOTSUPP);
    assert_eq!(errno(client.setattr(link, &SetAttr { size: Some(0), ..SetAttr::default() })), Errno::INVAL);
    assert_eq!(errno(client.setattr(root, &SetAttr { size: Some(0), ..SetAttr::default() })), Errno::ISDIR);

    let stat = client.statfs(root).unwrap();
    assert!(stat.blocks > 0 && stat.bsize >= 512 && stat.namelen >= 255, "{stat:?}");
    client.fsync(fid, false).unwrap();
    client.fsync(root, true).unwrap();
    client.syncfs(root).unwrap();
}

#[test]
fn long_directories_are_listed_once_each() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<_> = (0..1500).map(|number| format!("{number:0200}")).collect();
    names.iter().for_each(|name| fs::write(folder.path().join(name), name).unwrap());
    fs::create_dir(folder.path().join("dir")).unwrap();
    let (_server, socket) = serve(folder.path(), Access::ReadOnly);
    let (mut client, root) = connect(socket);

    for _ in 0..2 {
        let (mut seen, mut offset, mut batches) = (Vec::new(), 0, 0);
        loop {
            let entries = client.readdir_attr(root, offset).unwrap().entries;
            let Some(last) = entries.last() else { break };
            (offset, batches) = (last.offset, batches + 1);
            seen.extend(entries);
        }
        assert!(batches > 5, "{batches}");
        let dots = seen.extract_if(.., |entry| entry.name.starts_with(b".")).count();
        let dir = seen.extract_if(.., |entry| entry.name == b"dir").collect::<Vec<_>>();
        assert_eq!((dots, dir.len(), dir[0].kind), (2, 1, 4));
        assert!(seen.iter().all(|entry| entry.attr.unwrap().size == 200 && entry.kind == 8));
        let mut seen: Vec<_> = seen.into_iter().map(|entry| String::from_utf8(entry.name).unwrap()).collect();
        seen.sort();
        assert_eq!(seen, names);
    }
    // A listing can begin anywhere.
    let entries = client.readdir_attr(root, 0).unwrap().entries;
    assert_eq!(client.readdir_attr(root, entries[9].offset).unwrap().entries[0], entries[10]);
}

#[test]
fn a_listing_walks_to_the_directory_and_tells_its_end() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("dir")).unwrap();
    fs::write(folder.path().join("dir/file"), "1").unwrap();
    symlink("file", folder.path().join("dir/link")).unwrap();
    symlink("x".repeat(1000), folder.path().join("dir/long")).unwrap();
    let (_server, socket) = serve(folder.path(), Access::ReadOnly);
    let (mut client, root) = connect(socket);

    let (dir, listing) = client.walk_readdir_attr(root, b"dir").unwrap();
    assert!(listing.is_end);
    let entry = |name: &[u8]| listing.entries.iter().find(|entry| entry.name == name).unwrap();
    assert_eq!(entry(b"link").target.as_deref(), Some(&b"file"[..]));
    assert_eq!((&entry(b"long").target, entry(b"long").kind), (&None, 10));
    assert_eq!((&entry(b"file").target, entry(b"file").attr.unwrap().size), (&None, 1));
    assert_eq!(entry(b".").ino, client.getattr(dir).unwrap().ino);
    let names = |entries: &[DirEntry]| entries.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&client.readdir_attr(dir, 0).unwrap().entries), names(&listing.entries));
    let last = listing.entries.last().unwrap().offset;
    let rest = client.readdir_attr(dir, last).unwrap();
    assert!(rest.entries.is_empty() && rest.is_end);

    for (name, error) in [
        (&b"missing"[..], Errno::NOENT),
        (b"..", Errno::INVAL),
        (b"dir/link", Errno::INVAL),
        (b"file", Errno::NOENT),
    ] {
        assert_eq!(errno(client.walk_readdir_attr(root, name)), error, "{name:?}");
    }
    // What is no directory gets no fid either.
    assert_eq!(errno(client.walk_readdir_attr(dir, b"file")), Errno::NOTDIR);
    assert_eq!(errno(client.walk_readdir_attr(dir, b"link")), Errno::NOTDIR);
    assert_eq!(client.walk_attr(dir, &[b"file"]).unwrap().found.len(), 1);
}

#[test]
fn extended_attributes() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let (_server, socket) = serve(folder.path(), Access::ReadWrite);
    let (mut client, root) = connect(socket);
    let fid = client.walk_attr(root, &[b"file"]).unwrap().found[0].fid;
    for fid in [fid, root] {
        assert_eq!(client.listxattr(fid).unwrap(), b"");
        client.setxattr(fid, b"user.test", b"value", 0).unwrap();
        assert_eq!(errno(client.setxattr(fid, b"user.test", b"v", 1)), Errno::EXIST);
        assert_eq!(client.getxattr(fid, b"user.test").unwrap(), b"value");
        assert_eq!(client.listxattr(fid).unwrap(), b"user.test\0");
        client.removexattr(fid, b"user.test").unwrap();
        assert_eq!(errno(client.getxattr(fid, b"user.test")), Errno::NODATA);
        for name in [&b"trusted.overlay.opaque"[..], b"security.selinux", b"system.other"] {
            assert_eq!(errno(client.setxattr(fid, name, b"y", 0)), Errno::OPNOTSUPP);
            assert_eq!(errno(client.getxattr(fid, name)), Errno::OPNOTSUPP);
        }
    }
}

#[test]
fn a_single_file_can_be_served() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resolv.conf");
    fs::write(&path, "nameserver").unwrap();
    fs::write(folder.path().join("secret"), "").unwrap();
    let (_server, socket) = serve(&path, Access::ReadWrite);
    let (mut client, root) = connect(socket);
    assert!(client.getattr(root).unwrap().is_regular());
    let mut open = file(client.open(root, OFlags::RDWR.bits()).unwrap());
    open.write_all(b"NAMESERVER").unwrap();
    client.setattr(root, &SetAttr { size: Some(4), ..SetAttr::default() }).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"NAME");
    let walk = client.walk_attr(root, &[b"secret"]).unwrap();
    assert_eq!((walk.found.len(), walk.error.map(number)), (0, Some(Errno::NOTDIR)));
}

#[test]
fn what_is_served_read_only_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "contents").unwrap();
    let (_server, socket) = serve(folder.path(), Access::ReadOnly);
    let (mut client, root) = connect(socket);
    let walk = client.walk_open(root, &[b"file"], OFlags::RDWR.bits()).unwrap();
    let fid = walk.found[0].fid;
    assert_eq!(number(walk.opened.unwrap().unwrap_err()), Errno::ROFS);
    let mode = Some(0o777);
    let errors = [
        errno(client.open(fid, OFlags::WRONLY.bits())),
        errno(client.open(fid, OFlags::TRUNC.bits())),
        errno(client.create(root, b"new", 0, new_file(0o600))),
        errno(client.mkdir(root, b"new", new_file(0o700))),
        errno(client.symlink(root, b"new", b"x", new_file(0o777))),
        errno(client.mknod(root, b"new", 0o010_000, 0, new_file(0o600))),
        errno(client.link(root, b"new", fid)),
        errno(client.unlinkat(root, b"file", 0)),
        errno(client.renameat((root, b"file"), (root, b"new"), 0)),
        errno(client.renameat((root, b"file"), (root, b"new"), 1)),
        errno(client.setattr(fid, &SetAttr { mode, ..SetAttr::default() })),
        errno(client.setxattr(fid, b"user.x", b"", 0)),
        errno(client.removexattr(fid, b"user.x")),
    ];
    assert!(errors.iter().all(|&error| error == Errno::ROFS), "{errors:?}");
    assert!(!folder.path().join("new").exists());
    // The descriptor that is given cannot write either.
    let mut open = file(client.open(fid, 0).unwrap());
    assert!(open.write_all(b"x").is_err());
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"contents");
}
