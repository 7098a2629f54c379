//! Any sequence of requests is answered, and touches nothing outside of what is served.

#![no_main]

use std::cell::OnceCell;
use std::fs;
use std::rc::Rc;

use cloister_9p::frame;
use cloister_gofer::session::{Reply, Session};
use cloister_gofer::tree::{Access, Tree};
use libfuzzer_sys::fuzz_target;

/// A version that has the extensions, and an attach of fid 0.
const START: &[&[u8]] = &[
    b"\x1f\0\0\0\x64\xff\xff\0\0\x01\0\x12\x009P2000.L.cloister1",
    b"\x17\0\0\0\x68\0\0\0\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0",
];

struct Served {
    _folder: tempfile::TempDir,
    tree: Rc<Tree>,
    outside: std::path::PathBuf,
}

fn served() -> Served {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("tree/d/e")).unwrap();
    fs::write(folder.path().join("tree/f"), "contents").unwrap();
    let outside = folder.path().join("outside");
    fs::write(&outside, "untouched").unwrap();
    std::os::unix::fs::symlink("../outside", folder.path().join("tree/l")).unwrap();
    let tree = Rc::new(Tree::open(&folder.path().join("tree"), Access::ReadWrite).unwrap());
    Served { _folder: folder, tree, outside }
}

thread_local! {
    static SERVED: OnceCell<Served> = const { OnceCell::new() };
}

fuzz_target!(|bytes: &[u8]| {
    SERVED.with(|served_cell| {
        let served = served_cell.get_or_init(served);
        let mut session = Session::new(Rc::clone(&served.tree));
        let mut reply = Reply::default();
        let mut handle = |bytes: &[u8]| -> Option<usize> {
            let (frame, len) = frame::split(bytes, session.msize()).ok()??;
            session.handle(frame, &mut reply);
            let (answer, answer_len) = frame::split(&reply.bytes, 1 << 20).unwrap().unwrap();
            assert!(answer_len == reply.bytes.len() && answer.tag == frame.tag);
            assert!(answer.kind == 7 || answer.kind == frame.kind + 1);
            Some(len)
        };
        for start in START {
            handle(start).unwrap();
        }
        let mut rest = bytes;
        while let Some(len) = handle(rest) {
            rest = &rest[len..];
        }
        assert_eq!(fs::read(&served.outside).unwrap(), b"untouched");
    });
});
