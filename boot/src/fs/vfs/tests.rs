//! Tests of path resolution, names and mounts, over tmpfs.

use std::sync::Arc;

use super::open::OpenHow;
use super::*;
use crate::error::{Errno, Fail};
use crate::fs::tmpfs::{Tmpfs, TmpfsOptions};
use crate::prelude::errno;
use crate::testing::{TestKernel, TestTask};

fn errno_of(fail: &Fail) -> Errno {
    match fail {
        Fail::Errno(errno, _) => *errno,
        Fail::Restart(_) | Fail::Park(_) => panic!("{fail:?}"),
    }
}

/// What a task does with paths.
trait Does {
    fn walker(&self) -> Walker<'_>;
    fn cwd(&self) -> Path;
    fn lookup(&self, path: &str) -> Result<Path, Errno>;
    fn make(&self, path: &str, kind: NewInodeKind, mode: u32) -> Result<(), Errno>;
    fn unlink(&self, path: &str) -> Result<(), Errno>;
    fn rename(&self, from: &str, to: &str, mode: RenameMode) -> Result<(), Errno>;
    fn text(&self, path: &str) -> String;
    fn open(&mut self, path: &str, flags: OpenFlags) -> Result<Arc<OpenFile>, Errno>;

    fn mkdir(&self, path: &str) {
        self.make(path, NewInodeKind::Directory, 0o755).unwrap();
    }

    fn touch(&self, path: &str) {
        self.make(path, NewInodeKind::Regular, 0o644).unwrap();
    }

    fn symlink(&self, target: &str, path: &str) {
        self.make(path, NewInodeKind::Symlink(target.into()), 0o777).unwrap();
    }
}

impl Does for TestTask {
    fn walker(&self) -> Walker<'_> {
        Walker::new(&self.task)
    }

    fn cwd(&self) -> Path {
        self.task.fs().cwd()
    }

    fn lookup(&self, path: &str) -> Result<Path, Errno> {
        self.walker().lookup(self.cwd(), path.as_bytes(), Follow::Yes)
    }

    fn make(&self, path: &str, kind: NewInodeKind, mode: u32) -> Result<(), Errno> {
        let mut walker = self.walker();
        let (directory, last) = walker.walk_to_last(self.cwd(), path.as_bytes())?;
        names::create(&walker, &NewName { directory, last }, kind, mode).map(drop)
    }

    fn unlink(&self, path: &str) -> Result<(), Errno> {
        let mut walker = self.walker();
        let (directory, last) = walker.walk_to_last(self.cwd(), path.as_bytes())?;
        names::unlink(&walker, &directory, last)
    }

    fn rename(&self, from: &str, to: &str, mode: RenameMode) -> Result<(), Errno> {
        let mut walker = self.walker();
        let (directory, last) = walker.walk_to_last(self.cwd(), from.as_bytes())?;
        let from = NewName { directory, last };
        let (directory, last) = walker.walk_to_last(self.cwd(), to.as_bytes())?;
        names::rename(&walker, &from, &NewName { directory, last }, mode)
    }

    fn text(&self, path: &str) -> String {
        let text = self.lookup(path).unwrap().to_text(&self.task.fs().root());
        String::from_utf8(text.for_proc()).unwrap()
    }

    fn open(&mut self, path: &str, flags: OpenFlags) -> Result<Arc<OpenFile>, Errno> {
        let (task, base) = (Arc::clone(&self.task), self.cwd());
        let mut walker = Walker::new(&task);
        let how = OpenHow { flags, mode: 0o666 };
        open::open(&mut self.cx(), &mut walker, base, path.as_bytes(), how).map_err(|fail| errno_of(&fail))
    }
}

fn new_tmpfs() -> NewMount {
    NewMount {
        root: Dentry::new_root(Tmpfs::new_root(TmpfsOptions::default())),
        source: "test".to_owned(),
        flags: MountFlags::empty(),
        options: String::new(),
    }
}

#[test]
fn dots_slashes_and_links() {
    let kernel = TestKernel::new();
    let task = kernel.root_task();
    task.mkdir("/a");
    task.mkdir("/a/b");
    task.touch("/a/b/f");
    task.symlink("b/../b/f", "/a/link");
    task.symlink("/a", "/top");
    task.symlink("loop", "/loop");
    assert_eq!(task.text("//a/./b//../link"), "/a/b/f");
    assert_eq!(task.text("/../../top/b/"), "/a/b");
    assert_eq!(task.lookup("/loop").unwrap_err(), errno::ELOOP);
    assert_eq!(task.lookup("/a/b/f/").unwrap_err(), errno::ENOTDIR);
    assert_eq!(task.lookup("/a/b/f/..").unwrap_err(), errno::ENOTDIR);
    assert_eq!(task.lookup("").unwrap_err(), errno::ENOENT);
    assert_eq!(task.lookup(&"x".repeat(256)).unwrap_err(), errno::ENAMETOOLONG);
    assert_eq!(task.lookup("/none/..").unwrap_err(), errno::ENOENT);
    let root = task.cwd();
    let link = task.walker().lookup(root, b"/top", Follow::No).unwrap();
    assert_eq!(link.inode().kind(), FileKind::Symlink);
}

#[test]
fn restricted_resolution_stays_beneath() {
    let kernel = TestKernel::new();
    let task = kernel.root_task();
    task.mkdir("/jail");
    task.mkdir("/jail/in");
    task.touch("/secret");
    task.symlink("/secret", "/jail/abs");
    task.symlink("../../secret", "/jail/in/up");
    task.touch("/jail/secret");
    let base = task.lookup("/jail").unwrap();
    let lookup = |resolve, path: &str| {
        let mut walker = task.walker().restricted(resolve, &base);
        walker.lookup(base.clone(), path.as_bytes(), Follow::Yes)
    };
    for path in ["..", "/secret", "abs", "in/up"] {
        assert_eq!(lookup(Resolve::BENEATH, path).unwrap_err(), errno::EXDEV, "{path}");
    }
    lookup(Resolve::BENEATH, "in/../secret").unwrap();
    for path in ["abs", "in/up", "/secret", "../secret"] {
        let found = lookup(Resolve::IN_ROOT, path).unwrap().to_text(&task.task.fs().root());
        assert_eq!(found.text, b"/jail/secret", "{path}");
    }
    assert_eq!(lookup(Resolve::NO_SYMLINKS, "abs").unwrap_err(), errno::ELOOP);
}

#[test]
fn mounts_cover_and_uncover() {
    let kernel = TestKernel::new();
    let task = kernel.root_task();
    task.mkdir("/m");
    task.touch("/m/below");
    let namespace = task.task.fs().namespace();
    let mount = namespace.mount(new_tmpfs(), task.lookup("/m").unwrap()).unwrap();
    assert_eq!(task.lookup("/m/below").unwrap_err(), errno::ENOENT);
    task.mkdir("/m/d");
    assert_eq!((task.text("/m/d/.."), task.text("/m/d/../..")), ("/m".to_owned(), "/".to_owned()));
    assert_eq!(task.unlink("/m").unwrap_err(), errno::EISDIR);
    assert_eq!(task.rename("/m", "/n", RenameMode::Replace).unwrap_err(), errno::EBUSY);
    assert_eq!(task.rename("/m/d", "/d", RenameMode::Replace).unwrap_err(), errno::EXDEV);
    let base = task.cwd();
    let mut walker = task.walker().restricted(Resolve::NO_CROSSING, &base);
    assert_eq!(walker.lookup(base, b"m/d", Follow::Yes).unwrap_err(), errno::EXDEV);
    mount.set_flags(MountFlags::READ_ONLY);
    assert_eq!(task.make("/m/x", NewInodeKind::Regular, 0o644).unwrap_err(), errno::EROFS);
    let held = task.lookup("/m/d").unwrap();
    assert_eq!(namespace.unmount(&mount, Unmount::IfUnused).unwrap_err(), errno::EBUSY);
    namespace.unmount(&mount, Unmount::Lazily).unwrap();
    task.lookup("/m/below").unwrap();
    assert!(!held.to_text(&task.task.fs().root()).is_reachable);
}

#[test]
fn pivot_root_puts_the_old_root_below() {
    let kernel = TestKernel::new();
    let task = kernel.root_task();
    task.mkdir("/new");
    let namespace = task.task.fs().namespace();
    namespace.mount(new_tmpfs(), task.lookup("/new").unwrap()).unwrap();
    task.mkdir("/new/old");
    let (old_root, new_root) = (task.lookup("/").unwrap(), task.lookup("/new").unwrap());
    namespace.pivot_root(&old_root, &new_root, &task.lookup("/new/old").unwrap()).unwrap();
    task.task.fs().replace(&old_root, &new_root);
    assert_eq!(task.text("/old/new"), "/old/new");
    assert_eq!(task.text("/old/.."), "/");
    assert!(namespace.root().is_same(&new_root));
}

#[test]
fn binds_show_the_same_names() {
    let kernel = TestKernel::new();
    let task = kernel.root_task();
    for path in ["/a", "/a/sub", "/b"] {
        task.mkdir(path);
    }
    let namespace = task.task.fs().namespace();
    namespace.mount(new_tmpfs(), task.lookup("/a/sub").unwrap()).unwrap();
    namespace.bind(&task.lookup("/a").unwrap(), task.lookup("/b").unwrap(), Recursive::Yes).unwrap();
    task.touch("/b/f");
    task.touch("/b/sub/g");

    assert_eq!(task.text("/b/sub/g"), "/b/sub/g");
    let (copy, _) = namespace.copy();
    assert_eq!(copy.mounts().len(), namespace.mounts().len());
}

#[test]
fn renames_keep_the_tree_a_tree() {
    let kernel = TestKernel::new();
    let task = kernel.root_task();
    for path in ["/a", "/a/b", "/c"] {
        task.mkdir(path);
    }
    task.touch("/f");
    assert_eq!(task.rename("/a", "/a/b/x", RenameMode::Replace).unwrap_err(), errno::EINVAL);
    assert_eq!(task.rename("/a/b", "/a", RenameMode::Replace).unwrap_err(), errno::ENOTEMPTY);
    assert_eq!(task.rename("/f", "/c", RenameMode::Replace).unwrap_err(), errno::EISDIR);
    assert_eq!(task.rename("/c", "/f", RenameMode::Replace).unwrap_err(), errno::ENOTDIR);
    assert_eq!(task.rename("/f", "/c", RenameMode::NoReplace).unwrap_err(), errno::EEXIST);
    let inside = task.lookup("/a/b").unwrap();
    task.rename("/a", "/c", RenameMode::Replace).unwrap();
    assert_eq!(inside.to_text(&task.task.fs().root()).text, b"/c/b");
    task.rename("/c/b", "/f", RenameMode::Exchange).unwrap();
    assert_eq!(task.lookup("/f").unwrap().inode().kind(), FileKind::Directory);
    assert_eq!(task.lookup("/c/b").unwrap().inode().kind(), FileKind::Regular);
    assert_eq!(task.lookup("/c").unwrap().inode().attributes().unwrap().links, 2);
}

#[test]
fn removed_files_live_on_while_open() {
    let kernel = TestKernel::new();
    let mut task = kernel.root_task();
    let flags = OpenFlags::CREATE | OpenFlags::READ_WRITE;
    let file = task.open("/f", flags | OpenFlags::EXCLUSIVE).unwrap();
    assert_eq!(task.open("/f", flags | OpenFlags::EXCLUSIVE).unwrap_err(), errno::EEXIST);
    task.unlink("/f").unwrap();
    assert_eq!(task.lookup("/f").unwrap_err(), errno::ENOENT);
    let text = file.path().to_text(&task.task.fs().root()).for_proc();
    assert_eq!(text, b"/f (deleted)");
    assert_eq!(file.inode().attributes().unwrap().links, 0);
}

#[test]
fn open_follows_what_it_should() {
    let kernel = TestKernel::new();
    let mut task = kernel.root_task();
    task.mkdir("/d");
    task.symlink("target", "/d/link");
    let create = OpenFlags::CREATE | OpenFlags::WRITE_ONLY;
    assert_eq!(task.open("/d/link", create | OpenFlags::EXCLUSIVE).unwrap_err(), errno::EEXIST);
    assert_eq!(task.open("/d/link", create | OpenFlags::NO_FOLLOW).unwrap_err(), errno::ELOOP);
    task.open("/d/link", create).unwrap();
    task.lookup("/d/target").unwrap();
    assert!(task.open("/d/link", OpenFlags::PATH | OpenFlags::NO_FOLLOW).unwrap().is_path());
    assert_eq!(task.open("/d", create).unwrap_err(), errno::EISDIR);
    assert_eq!(task.open("/d", OpenFlags::READ_WRITE).unwrap_err(), errno::EISDIR);
    assert_eq!(task.open("/d/target", OpenFlags::DIRECTORY).unwrap_err(), errno::ENOTDIR);
    assert_eq!(task.open("/d/target/", create).unwrap_err(), errno::EISDIR);
}

#[test]
fn others_need_permissions() {
    let kernel = TestKernel::new();
    let root = kernel.root_task();
    let mut user = kernel.user_task(1000);
    root.make("/closed", NewInodeKind::Directory, 0o700).unwrap();
    root.make("/tmp", NewInodeKind::Directory, 0o777).unwrap();
    let sticky = root.lookup("/tmp").unwrap();
    attribute_rules::change_mode(&root.task.credentials(), &sticky, 0o1777).unwrap();
    root.touch("/tmp/roots");
    assert_eq!(user.lookup("/closed/x").unwrap_err(), errno::EACCES);
    assert_eq!(user.make("/x", NewInodeKind::Regular, 0o644).unwrap_err(), errno::EACCES);
    assert_eq!(user.unlink("/tmp/roots").unwrap_err(), errno::EPERM);
    assert_eq!(user.open("/tmp/roots", OpenFlags::WRITE_ONLY).unwrap_err(), errno::EACCES);
    user.touch("/tmp/own");
    let own = user.lookup("/tmp/own").unwrap();
    let credentials = user.task.credentials();
    assert_eq!(attribute_rules::change_owner(&credentials, &own, Some(0), None), Err(errno::EPERM));
    attribute_rules::change_mode(&credentials, &own, 0o4755).unwrap();
    attribute_rules::change_size(&credentials, &own, 5).unwrap();
    assert_eq!(own.inode().attributes().unwrap().permissions, 0o755);
    user.unlink("/tmp/own").unwrap();
}

#[test]
fn the_cache_is_bounded_and_loses_nothing() {
    let kernel = TestKernel::new();
    let task = kernel.root_task();
    let cache = Arc::clone(&task.task.kernel().vfs.cache);
    cache.set_bound(64);
    for number in 0..1000 {
        task.touch(&format!("/f{number}"));
        assert_eq!(task.lookup(&format!("/none{number}")).unwrap_err(), errno::ENOENT);
    }
    assert!(cache.len() <= 64);
    for number in 0..1000 {
        task.lookup(&format!("/f{number}")).unwrap();
    }
}

#[test]
fn deep_trees_are_dropped_without_recursion() {
    let kernel = TestKernel::new();
    let task = kernel.root_task();
    for _ in 0..20_000 {
        task.mkdir("d");
        let deeper = task.lookup("d").unwrap();
        task.task.fs().set_cwd(deeper);
    }
    drop(task);
    drop(kernel);
}
