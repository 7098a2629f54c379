//! An overlay over a tmpfs, as the virtual file system drives it.

use std::sync::Arc;

use super::{OverlayFs, OverlayInode};
use crate::fs::tmpfs::{Tmpfs, TmpfsOptions};
use crate::fs::{AttributeChange, FileKind, Inode, NewInode, NewInodeKind, RenameMode};
use crate::prelude::errno;

pub(super) fn new(kind: NewInodeKind) -> NewInode {
    NewInode { kind, permissions: 0o644, uid: 0, gid: 0 }
}

/// A lower tree: `a` (a file), `link` (another name of it), `d/x`, `d/y`, `e` (an empty directory).
pub(super) fn lower() -> Arc<dyn Inode> {
    let root = Tmpfs::new_root(TmpfsOptions::default());
    let a = root.create(b"a", &new(NewInodeKind::Regular)).unwrap();
    write(&a, b"lower");
    root.link(b"link", &a).unwrap();
    let d = root.create(b"d", &new(NewInodeKind::Directory)).unwrap();
    d.create(b"x", &new(NewInodeKind::Regular)).unwrap();
    d.create(b"y", &new(NewInodeKind::Symlink(b"x".to_vec()))).unwrap();
    root.create(b"e", &new(NewInodeKind::Directory)).unwrap();
    root
}

pub(super) fn overlay(lower: &Arc<dyn Inode>) -> Arc<OverlayInode> {
    OverlayFs::new_root(Arc::clone(lower), TmpfsOptions::default()).unwrap()
}

pub(super) fn write(inode: &Arc<dyn Inode>, mut bytes: &[u8]) {
    let inode: Arc<dyn std::any::Any + Send + Sync> = Arc::clone(inode) as Arc<_>;
    let file = match Arc::clone(&inode).downcast::<OverlayInode>() {
        Ok(overlay) => overlay.upper().unwrap(),
        Err(_) => inode.downcast().unwrap(),
    };
    file.write(Some(0), &mut bytes).unwrap();
}

pub(super) fn read(inode: &Arc<dyn Inode>) -> Vec<u8> {
    let inode: Arc<dyn std::any::Any + Send + Sync> = Arc::clone(inode) as Arc<_>;
    let overlay = inode.downcast::<OverlayInode>().unwrap();
    let host = overlay.upper().unwrap().host_file().unwrap();
    let mut bytes = vec![0; 64];
    let len = rustix::io::pread(&host, &mut bytes, 0).unwrap();
    bytes.truncate(len);
    bytes
}

pub(super) fn has(directory: &dyn Inode, name: &[u8]) -> bool {
    match directory.lookup(name) {
        Ok(_) => true,
        Err(errno::ENOENT) => false,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_write_is_seen_by_all_names_and_not_below() {
    let below = lower();
    let root = overlay(&below);
    let number = root.lookup(b"a").unwrap().attributes().unwrap().inode;
    write(&root.lookup(b"a").unwrap(), b"UPPER");
    // Nothing but the overlay itself holds the object now.
    let again = root.lookup(b"link").unwrap();
    assert_eq!(read(&again), b"UPPER");
    assert_eq!(again.attributes().unwrap().inode, number);
    assert_eq!(again.attributes().unwrap().links, 2);
    let host = below.lookup(b"a").unwrap().host_file().unwrap();
    let mut bytes = [0; 5];
    rustix::io::pread(&host, &mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"lower");
}

#[test]
fn removed_names_stay_removed_and_can_be_made_again() {
    let root = overlay(&lower());
    let a = root.lookup(b"a").unwrap();
    root.unlink(b"a", &a).unwrap();
    assert!(!has(&*root, b"a"));
    assert_eq!(a.attributes().unwrap().links, 1);
    drop(a);
    assert_eq!(root.lookup(b"link").unwrap().attributes().unwrap().links, 1);
    let made = root.create(b"a", &new(NewInodeKind::Regular)).unwrap();
    assert_eq!(read(&made), b"");
    root.unlink(b"a", &made).unwrap();
    assert!(!has(&*root, b"a"), "the lower name must not show through again");
}

#[test]
fn a_directory_made_in_place_of_a_lower_one_is_empty() {
    let root = overlay(&lower());
    let d = root.lookup(b"d").unwrap();
    assert_eq!(root.remove_directory(b"d", &d), Err(errno::ENOTEMPTY));
    for name in [b"x", b"y"] {
        d.unlink(name, &d.lookup(name).unwrap()).unwrap();
    }
    root.remove_directory(b"d", &d).unwrap();
    let d = root.create(b"d", &new(NewInodeKind::Directory)).unwrap();
    assert!(!has(&*d, b"x"));
    assert_eq!(d.attributes().unwrap().links, 2);
}

#[test]
fn a_renamed_lower_directory_keeps_what_is_below() {
    let root = overlay(&lower());
    let as_dyn: Arc<dyn Inode> = Arc::clone(&root) as Arc<_>;
    root.rename(b"d", &as_dyn, b"e", RenameMode::Replace).unwrap();
    assert!(!has(&*root, b"d"));
    let moved = root.lookup(b"e").unwrap();
    assert!(has(&*moved, b"x"));
    assert_eq!(moved.lookup(b"y").unwrap().kind(), FileKind::Symlink);
    assert_eq!(root.attributes().unwrap().links, 3);
    assert_eq!(root.rename(b"e", &as_dyn, b"a", RenameMode::NoReplace), Err(errno::EEXIST));
    root.rename(b"e", &as_dyn, b"a", RenameMode::Exchange).unwrap();
    assert_eq!(root.lookup(b"a").unwrap().kind(), FileKind::Directory);
    assert_eq!(root.lookup(b"e").unwrap().kind(), FileKind::Regular);
}

#[test]
fn cutting_a_file_off_copies_only_what_is_left() {
    let root = overlay(&lower());
    let a = root.lookup(b"a").unwrap();
    a.set_attributes(&AttributeChange { size: Some(2), ..AttributeChange::default() }).unwrap();
    assert_eq!(read(&a), b"lo");
}

#[test]
fn what_is_changed_without_a_name_goes_with_its_last_user() {
    let root = overlay(&lower());
    for name in [&b"d"[..], b"e"] {
        let object = root.lookup(name).unwrap();
        if name == b"d" {
            let x = object.lookup(b"x").unwrap();
            object.unlink(b"x", &x).unwrap();
            write(&x, b"written by a descriptor that is still open");
            assert_eq!(read(&x), b"written by a descriptor that is still open");
        } else {
            root.remove_directory(name, &object).unwrap();
            object.set_attributes(&AttributeChange { uid: Some(1), ..AttributeChange::default() }).unwrap();
        }
    }
    // The root and `d` have lost names; what those stood for is gone.
    assert_eq!(root.file_system.changed().len(), 2);
    assert!(root.file_system.changed().iter().all(|object| object.kind() == FileKind::Directory));
}
