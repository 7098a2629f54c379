//! Making, removing and changing names: what `mkdir(2)`, `link(2)`, `unlink(2)`, `rename(2)` and their like share.
//!
//! # Locking
//!
//! A change of names holds the [`class::DIRECTORY`](cloister_sync::class::DIRECTORY) locks of the directories. A rename
//! between two directories first takes [`class::RENAME`](cloister_sync::class::RENAME), so that the tree's shape stands
//! still while it is checked that no directory becomes its own ancestor.

use std::sync::Arc;

use super::{
    Dentry, DirectoryGuard, FileKind, Last, NewInode, NewInodeKind, Path, RenameMode, Walker, notify,
    permission,
};
use crate::error::Errno;
use crate::prelude::{errno, uapi};
use crate::task::{Capabilities, Credentials};

/// A name that is to be made: the last component of a path, in its directory.
#[derive(Clone, Debug)]
pub(crate) struct NewName<'p> {
    /// The directory.
    pub(crate) directory: Path,
    /// The last component.
    pub(crate) last: Last<'p>,
}

/// Returns the form of a new inode in `directory`: its owner, its group, and its mode after the umask.
pub(crate) fn new_inode(
    walker: &Walker<'_>,
    directory: &Path,
    kind: NewInodeKind,
    permissions: u32,
) -> Result<NewInode, Errno> {
    let credentials = walker.credentials();
    let of_directory = directory.inode().attributes()?;
    let umask = if matches!(kind, NewInodeKind::Symlink(_)) { 0 } else { walker.umask() };
    let mut permissions = permissions & 0o7777 & !umask;
    let mut gid = credentials.fsgid;
    if of_directory.permissions & uapi::S_ISGID != 0 {
        gid = of_directory.gid;
        if matches!(kind, NewInodeKind::Directory) {
            permissions |= uapi::S_ISGID;
        } else if permissions & (uapi::S_ISGID | uapi::S_IXGRP) == uapi::S_ISGID | uapi::S_IXGRP
            && !credentials.is_in_group(gid)
            && !credentials.has(Capabilities::FSETID)
        {
            permissions &= !uapi::S_ISGID;
        }
    }
    Ok(NewInode { kind, permissions, uid: credentials.fsuid, gid })
}

/// Makes an object with a new name.
///
/// # Errors
///
/// `EEXIST` if the name exists, `ENOENT` if it ends with `/` and no directory is made, as
/// [`permission::check_create`], and what the file system says.
pub(crate) fn create(
    walker: &Walker<'_>,
    at: &NewName<'_>,
    kind: NewInodeKind,
    permissions: u32,
) -> Result<Path, Errno> {
    let is_directory = matches!(kind, NewInodeKind::Directory);
    let directory = &at.directory;
    let (guard, name) = begin(walker, at, is_directory)?;
    let new = new_inode(walker, directory, kind, permissions)?;
    let dentry = create_locked(&guard, directory, name, &new)?;
    drop(guard);
    Ok(directory.with_dentry(dentry))
}

/// Makes an object with a new name in a directory whose lock is held; all checks were made.
///
/// # Errors
///
/// What the file system says.
pub(crate) fn create_locked(
    guard: &DirectoryGuard<'_>,
    directory: &Path,
    name: &[u8],
    new: &NewInode,
) -> Result<Arc<Dentry>, Errno> {
    let inode = directory.inode().create(name, new)?;
    let dentry = guard.add(name, inode, &directory.mount.cache);
    let is_directory = matches!(new.kind, NewInodeKind::Directory);
    notify::in_directory(&directory.dentry, notify::Event::CREATE.of(is_directory), name, 0);
    Ok(dentry)
}

/// Gives `target` another name.
///
/// # Errors
///
/// `EXDEV` if it is in another mount, `EPERM` if it is a directory, as [`create`].
pub(crate) fn link(walker: &Walker<'_>, target: &Path, at: &NewName<'_>) -> Result<(), Errno> {
    let directory = &at.directory;
    let (guard, name) = begin(walker, at, false)?;
    if !Arc::ptr_eq(&target.mount, &directory.mount) {
        return Err(errno::EXDEV);
    }
    if target.inode().kind() == FileKind::Directory {
        return Err(errno::EPERM);
    }
    directory.inode().link(name, target.inode())?;
    guard.add(name, Arc::clone(target.inode()), &directory.mount.cache);
    drop(guard);
    notify::of_inode(&target.dentry, notify::Event::ATTRIB);
    notify::in_directory(&directory.dentry, notify::Event::CREATE, name, 0);
    Ok(())
}

/// Takes the lock of the directory where a name is to be made, and makes the checks.
fn begin<'a, 'p>(
    walker: &Walker<'_>,
    at: &'a NewName<'p>,
    is_directory: bool,
) -> Result<(DirectoryGuard<'a>, &'p [u8]), Errno> {
    let directory = &at.directory;
    let name = at.last.name_or(errno::EEXIST)?;
    walker.check_step(directory, name)?;
    let guard = directory.dentry.lock_directory();
    match guard.lookup(name, &directory.mount.cache) {
        Ok(_) => return Err(errno::EEXIST),
        Err(errno::ENOENT) => {}
        Err(other) => return Err(other),
    }
    if at.last.has_slash && !is_directory {
        return Err(errno::ENOENT);
    }
    permission::check_create(walker.credentials(), directory)?;
    Ok((guard, name))
}

/// Removes a name that is not a directory's (`unlink(2)`).
///
/// # Errors
///
/// `ENOENT`, `EISDIR`, `EBUSY` if something is mounted on it, as [`permission::check_remove`], and what the file
/// system says.
pub(crate) fn unlink(walker: &Walker<'_>, directory: &Path, last: Last<'_>) -> Result<(), Errno> {
    let name = last.name_or(errno::EISDIR)?;
    walker.check_step(directory, name)?;
    let guard = directory.dentry.lock_directory();
    let victim = guard.lookup(name, &directory.mount.cache)?;
    let is_directory = victim.inode().kind() == FileKind::Directory;
    if last.has_slash {
        return Err(if is_directory { errno::EISDIR } else { errno::ENOTDIR });
    }
    permission::check_remove(walker.credentials(), directory, &**victim.inode())?;
    if is_directory {
        return Err(errno::EISDIR);
    }
    check_not_mounted(directory, &victim)?;
    directory.inode().unlink(name, victim.inode())?;
    finish_removal(&guard, directory, name, &victim);
    drop(guard);
    notify::removed(&victim);
    notify::in_directory(&directory.dentry, notify::Event::DELETE, name, 0);
    Ok(())
}

/// Removes an empty directory (`rmdir(2)`).
///
/// # Errors
///
/// `ENOENT`, `ENOTDIR`, `ENOTEMPTY`, `EBUSY` if something is mounted on it, `EINVAL` for `.`, as
/// [`permission::check_remove`].
pub(crate) fn remove_directory(walker: &Walker<'_>, directory: &Path, last: Last<'_>) -> Result<(), Errno> {
    let name = match last.name {
        super::LastName::Normal(name) => name,
        super::LastName::Dot => return Err(errno::EINVAL),
        super::LastName::DotDot => return Err(errno::ENOTEMPTY),
        super::LastName::Root => return Err(errno::EBUSY),
    };
    walker.check_step(directory, name)?;
    let guard = directory.dentry.lock_directory();
    let victim = guard.lookup(name, &directory.mount.cache)?;
    permission::check_remove(walker.credentials(), directory, &**victim.inode())?;
    if victim.inode().kind() != FileKind::Directory {
        return Err(errno::ENOTDIR);
    }
    check_not_mounted(directory, &victim)?;
    directory.inode().remove_directory(name, victim.inode())?;
    finish_removal(&guard, directory, name, &victim);
    drop(guard);
    notify::removed(&victim);
    notify::in_directory(&directory.dentry, notify::Event::DELETE.of(true), name, 0);
    Ok(())
}

fn finish_removal(guard: &DirectoryGuard<'_>, directory: &Path, name: &[u8], victim: &Arc<Dentry>) {
    victim.set_removed(&directory.mount.cache);
    guard.forget(name, &directory.mount.cache);
}

fn check_not_mounted(directory: &Path, dentry: &Arc<Dentry>) -> Result<(), Errno> {
    let is_mounted = dentry.may_be_mount_point()
        && directory.mount.namespace().is_some_and(|namespace| {
            namespace.mounted_at(&directory.with_dentry(Arc::clone(dentry))).is_some()
        });
    if is_mounted { Err(errno::EBUSY) } else { Ok(()) }
}

/// Renames a name (`renameat2(2)`).
///
/// # Errors
///
/// `EXDEV` between mounts, `EBUSY` for `.`, `..`, `/` and mount points, `EINVAL` if a directory would become its own
/// ancestor, `ENOTEMPTY`, `EEXIST`, `EISDIR`, `ENOTDIR`, as [`permission::check_remove`], and what the file system says.
pub(crate) fn rename(
    walker: &Walker<'_>,
    from: &NewName<'_>,
    to: &NewName<'_>,
    mode: RenameMode,
) -> Result<(), Errno> {
    if !Arc::ptr_eq(&from.directory.mount, &to.directory.mount) {
        return Err(errno::EXDEV);
    }
    let from_name = from.last.name_or(errno::EBUSY)?;
    let no_replace = if mode == RenameMode::NoReplace { errno::EEXIST } else { errno::EBUSY };
    let to_name = to.last.name_or(no_replace)?;
    walker.check_step(&from.directory, from_name)?;
    walker.check_step(&to.directory, to_name)?;
    let vfs = &walker.task().kernel().vfs;
    let _tree = (!Arc::ptr_eq(&from.directory.dentry, &to.directory.dentry)).then(|| vfs.lock_renames());
    let (from_guard, other_guard) = Dentry::lock_directories(&from.directory.dentry, &to.directory.dentry);
    let to_guard = other_guard.as_ref().unwrap_or(&from_guard);
    let cache = &from.directory.mount.cache;
    let old = from_guard.lookup(from_name, cache)?;
    let new = match to_guard.lookup(to_name, cache) {
        Ok(new) => Some(new),
        Err(errno::ENOENT) => None,
        Err(other) => return Err(other),
    };
    let pair = Pair { from, to, old: &old, new: new.as_ref(), mode };
    pair.check_shape()?;
    pair.check_permissions(walker.credentials())?;
    if new.as_ref().is_some_and(|new| Arc::ptr_eq(new.inode(), old.inode())) {
        // Two names of one file: rename(2) "does nothing, and returns a success status".
        return Ok(());
    }
    from.directory.inode().rename(from_name, to.directory.inode(), to_name, mode)?;
    match (&new, mode) {
        (Some(new), RenameMode::Exchange) => {
            from_guard.adopt(from_name, new);
            to_guard.adopt(to_name, &old);
        }
        _ => {
            if let Some(new) = &new {
                new.set_removed(cache);
            }
            from_guard.forget(from_name, cache);
            to_guard.adopt(to_name, &old);
        }
    }
    drop(other_guard);
    drop(from_guard);
    pair.notify(from_name, to_name);
    Ok(())
}

/// The two sides of a rename.
struct Pair<'a, 'p> {
    from: &'a NewName<'p>,
    to: &'a NewName<'p>,
    old: &'a Arc<Dentry>,
    new: Option<&'a Arc<Dentry>>,
    mode: RenameMode,
}

impl Pair<'_, '_> {
    /// Checks what the two names stand for.
    fn check_shape(&self) -> Result<(), Errno> {
        let is_directory = |dentry: &Arc<Dentry>| dentry.inode().kind() == FileKind::Directory;
        match (self.mode, self.new) {
            (RenameMode::NoReplace, Some(_)) => return Err(errno::EEXIST),
            (RenameMode::Exchange, None) => return Err(errno::ENOENT),
            _ => {}
        }
        if (self.from.last.has_slash && !is_directory(self.old))
            || (self.to.last.has_slash && self.mode != RenameMode::Exchange && !is_directory(self.old))
            || (self.to.last.has_slash
                && self.mode == RenameMode::Exchange
                && !self.new.is_some_and(is_directory))
        {
            return Err(errno::ENOTDIR);
        }
        if self.to.directory.dentry.is_within(self.old) {
            return Err(errno::EINVAL);
        }
        if self.new.is_some_and(|new| self.from.directory.dentry.is_within(new)) {
            return Err(if self.mode == RenameMode::Exchange { errno::EINVAL } else { errno::ENOTEMPTY });
        }
        if let (Some(new), RenameMode::Replace) = (self.new, self.mode) {
            match (is_directory(self.old), is_directory(new)) {
                (true, false) => return Err(errno::ENOTDIR),
                (false, true) => return Err(errno::EISDIR),
                _ => {}
            }
        }
        check_not_mounted(&self.from.directory, self.old)?;
        self.new.map_or(Ok(()), |new| check_not_mounted(&self.to.directory, new))
    }

    fn check_permissions(&self, credentials: &Credentials) -> Result<(), Errno> {
        permission::check_remove(credentials, &self.from.directory, &**self.old.inode())?;
        match self.new {
            Some(new) => permission::check_remove(credentials, &self.to.directory, &**new.inode())?,
            None => permission::check_create(credentials, &self.to.directory)?,
        }
        // A directory that moves to another one gets a new `..`, which is a change of itself.
        if Arc::ptr_eq(&self.from.directory.dentry, &self.to.directory.dentry) {
            return Ok(());
        }
        let moved = if self.mode == RenameMode::Exchange { self.new } else { None };
        for dentry in [Some(self.old), moved].into_iter().flatten() {
            if dentry.inode().kind() == FileKind::Directory {
                let attributes = dentry.inode().attributes()?;
                permission::check_attributes(credentials, &attributes, permission::Access::WRITE)?;
            }
        }
        Ok(())
    }

    fn notify(&self, from_name: &[u8], to_name: &[u8]) {
        let (from, to) = (&self.from.directory.dentry, &self.to.directory.dentry);
        notify::moved(self.old, (from, from_name), (to, to_name));
        match (self.mode, self.new) {
            (RenameMode::Exchange, Some(new)) => notify::moved(new, (to, to_name), (from, from_name)),
            (_, Some(new)) => notify::removed(new),
            (_, None) => {}
        }
    }
}
