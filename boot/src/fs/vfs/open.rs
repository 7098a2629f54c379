//! Opening files (`open(2)`).

use std::sync::Arc;

use super::{
    Access, FileKind, FileOps, Follow, LastName, MountFlags, NewInodeKind, OpenCx, OpenFile, OpenFlags, Path,
    Target, Walker, attribute_rules, names, notify, permission,
};
use crate::context::SyscallCx;
use crate::error::{Fail, fail};
use crate::fs::{dev, pipe};
use crate::prelude::{errno, uapi};
use crate::task::Task;

/// What a file is opened with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenHow {
    /// How it is opened.
    pub(crate) flags: OpenFlags,
    /// The mode of a new file, before the umask.
    pub(crate) mode: u32,
}

/// The path of a file that was found or made.
struct Found {
    path: Path,
    is_new: bool,
}

/// Opens what the path `path` names, starting at `base`; makes it first if `how` says so.
///
/// The opening of a FIFO may wait, and is then run again from the top.
///
/// # Errors
///
/// As `open(2)`.
pub(crate) fn open(
    cx: &mut SyscallCx<'_>,
    walker: &mut Walker<'_>,
    base: Path,
    path: &[u8],
    how: OpenHow,
) -> Result<Arc<OpenFile>, Fail> {
    let flags = how.flags;
    if flags.contains(OpenFlags::UNNAMED) {
        return open_unnamed(cx, walker, base, path, how);
    }
    let found = if flags.contains(OpenFlags::CREATE) {
        find_or_create(walker, base, path, how)?
    } else {
        let follow = if flags.contains(OpenFlags::NO_FOLLOW) { Follow::No } else { Follow::Yes };
        Found { path: walker.lookup(base, path, follow)?, is_new: false }
    };
    open_found(cx, walker, found, flags)
}

/// Opens what `path` names, without a look-up: the kernel's own opens.
///
/// # Errors
///
/// As `open(2)`.
pub(crate) fn open_path(
    cx: &mut SyscallCx<'_>,
    walker: &Walker<'_>,
    path: Path,
    flags: OpenFlags,
) -> Result<Arc<OpenFile>, Fail> {
    open_found(cx, walker, Found { path, is_new: false }, flags)
}

fn find_or_create(walker: &mut Walker<'_>, base: Path, path: &[u8], how: OpenHow) -> Result<Found, Fail> {
    let (directory, last) = walker.walk_to_last(base, path)?;
    let LastName::Normal(name) = last.name else {
        // All the others are directories.
        return Err(fail(errno::EISDIR, "a directory can't be created by open"));
    };
    if last.has_slash {
        return Err(fail(errno::EISDIR, "`path` ends with a slash"));
    }
    walker.check_step(&directory, name)?;
    let cache = &directory.mount.cache;
    let dentry = match directory.dentry.lookup(name, cache) {
        Err(errno::ENOENT) => {
            let guard = directory.dentry.lock_directory();
            // Somebody else may have made it since.
            match guard.lookup(name, cache) {
                Err(errno::ENOENT) => {
                    permission::check_create(walker.credentials(), &directory)?;
                    let new = names::new_inode(walker, &directory, NewInodeKind::Regular, how.mode)?;
                    let dentry = names::create_locked(&guard, &directory, name, &new)?;
                    drop(guard);
                    return Ok(Found { path: directory.with_dentry(dentry), is_new: true });
                }
                other => other?,
            }
        }
        other => other?,
    };
    if how.flags.contains(OpenFlags::EXCLUSIVE) {
        return Err(fail(errno::EEXIST, "the file exists"));
    }
    let found = walker.enter(directory.with_dentry(dentry))?;
    if found.inode().kind() == FileKind::Symlink && !how.flags.contains(OpenFlags::NO_FOLLOW) {
        return match walker.read(&found)? {
            Target::Object(path) => Ok(Found { path, is_new: false }),
            Target::Path(target) => find_or_create(walker, directory, &target, how),
        };
    }
    Ok(Found { path: found, is_new: false })
}

fn open_unnamed(
    cx: &mut SyscallCx<'_>,
    walker: &mut Walker<'_>,
    base: Path,
    path: &[u8],
    how: OpenHow,
) -> Result<Arc<OpenFile>, Fail> {
    let directory = walker.lookup(base, path, Follow::Yes)?;
    if directory.inode().kind() != FileKind::Directory {
        return Err(errno::ENOTDIR.into());
    }
    permission::check(walker.credentials(), &directory, Access::WRITE | Access::EXECUTE)?;
    let new = names::new_inode(walker, &directory, NewInodeKind::Regular, how.mode)?;
    let inode = directory.inode().create_unnamed(&new, !how.flags.contains(OpenFlags::EXCLUSIVE))?;
    let label = format!("/#{}", inode.attributes()?.inode);
    let dentry = super::Dentry::new_unnamed(inode, label.as_bytes());
    dentry.set_removed(&directory.mount.cache);
    open_found(cx, walker, Found { path: directory.with_dentry(dentry), is_new: true }, how.flags)
}

fn open_found(
    cx: &mut SyscallCx<'_>,
    walker: &Walker<'_>,
    found: Found,
    flags: OpenFlags,
) -> Result<Arc<OpenFile>, Fail> {
    let Found { path, is_new } = found;
    let kind = path.inode().kind();
    // O_TMPFILE has the bit of O_DIRECTORY.
    let wants_directory = flags.contains(OpenFlags::DIRECTORY) && !flags.contains(OpenFlags::UNNAMED);
    if wants_directory && kind != FileKind::Directory {
        let is_link = kind == FileKind::Symlink && !flags.contains(OpenFlags::PATH);
        return Err(if is_link { errno::ELOOP } else { errno::ENOTDIR }.into());
    }
    if flags.contains(OpenFlags::PATH) {
        return Ok(Arc::new(OpenFile::new(path, Box::new(PathOps), flags)));
    }
    check_open(walker, &path, is_new, flags)?;
    if flags.contains(OpenFlags::TRUNCATE) && kind == FileKind::Regular && !is_new {
        attribute_rules::change_size(walker.credentials(), &path, 0)?;
    }
    let ops = open_ops(cx, &path, flags)?;
    let file = Arc::new(OpenFile::new(path, ops, flags));
    notify::of_file(&file.path().dentry, notify::Event::OPEN);
    Ok(file)
}

/// Checks that a file may be opened.
fn check_open(walker: &Walker<'_>, path: &Path, is_new: bool, flags: OpenFlags) -> Result<(), Fail> {
    let credentials = walker.credentials();
    // An access mode of 3 asks for both rights, though it gives neither.
    let mut access = Access::empty();
    access.set(Access::READ, flags.bits() & 3 != 1);
    access.set(Access::WRITE, flags.bits() & 3 != 0 || flags.contains(OpenFlags::TRUNCATE));
    match path.inode().kind() {
        FileKind::Symlink => return Err(fail(errno::ELOOP, "`path` is a symbolic link")),
        FileKind::Directory if access.contains(Access::WRITE) || flags.contains(OpenFlags::CREATE) => {
            return Err(fail(errno::EISDIR, "a directory can't be written"));
        }
        FileKind::CharDevice | FileKind::BlockDevice
            if path.mount.flags().contains(MountFlags::NO_DEVICES) =>
        {
            return Err(fail(errno::EACCES, "the mount allows no devices"));
        }
        _ => {}
    }
    if !is_new {
        permission::check(credentials, path, access)?;
    }
    if flags.contains(OpenFlags::NO_ACCESS_TIME)
        && !permission::is_owner(credentials, &path.inode().attributes()?)
    {
        return Err(fail(errno::EPERM, "O_NOATIME needs the owner"));
    }
    Ok(())
}

/// Opens the object itself.
fn open_ops(cx: &mut SyscallCx<'_>, path: &Path, flags: OpenFlags) -> Result<Box<dyn FileOps>, Fail> {
    let inode = path.inode();
    let open_cx = OpenCx { task: cx.task, path, flags };
    match inode.kind() {
        FileKind::Regular | FileKind::Directory | FileKind::Symlink | FileKind::Anonymous => {
            Arc::clone(inode).open(&open_cx)
        }
        _ if path.mount.file_system.opens_special() => Arc::clone(inode).open(&open_cx),
        FileKind::Socket => Err(fail(errno::ENXIO, "a socket can't be opened")),
        FileKind::Fifo => pipe::open_fifo(cx, inode, flags),
        FileKind::CharDevice => dev::open_char(inode.attributes()?.device, &open_cx),
        FileKind::BlockDevice => Err(fail(errno::ENXIO, "there is no such device")),
    }
}

/// What a descriptor that is only a path can do: nothing, before anything is asked of it (`open(2)`, `O_PATH`).
#[derive(Debug)]
struct PathOps;

impl FileOps for PathOps {}

/// Opens again what was open when it was saved, without a look at permissions, and with nothing done to it.
///
/// # Errors
///
/// What the file system says.
pub(crate) fn reopen(task: &Arc<Task>, path: &Path, flags: OpenFlags) -> Result<Box<dyn FileOps>, Fail> {
    if flags.contains(OpenFlags::PATH) {
        return Ok(Box::new(PathOps));
    }
    let inode = path.inode();
    let open_cx = OpenCx { task, path, flags };
    match inode.kind() {
        FileKind::CharDevice if !path.mount.file_system.opens_special() => {
            dev::open_char(inode.attributes()?.device, &open_cx)
        }
        _ => Arc::clone(inode).open(&open_cx),
    }
}

/// The permission bits of a mode that `open` and its like accept.
pub(crate) const MODE_MASK: u32 = uapi::S_ISUID | uapi::S_ISGID | uapi::S_ISVTX | 0o777;
