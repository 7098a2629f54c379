//! The rules of changes of attributes: who may make them, and what goes with them (`chmod(2)`, `chown(2)`,
//! `utimensat(2)`, `truncate(2)`).

use super::{Access, AttributeChange, Attributes, Change, FileKind, Inode, Path, notify, permission};
use crate::error::Errno;
use crate::prelude::{errno, uapi};
use crate::task::{Capabilities, Credentials};

/// Changes the permissions, the set-id and the sticky bits (`chmod(2)`).
///
/// # Errors
///
/// `EROFS`, `EPERM` if the caller is not the owner, `EOPNOTSUPP` for a symbolic link.
pub(crate) fn change_mode(credentials: &Credentials, path: &Path, mode: u32) -> Result<(), Errno> {
    permission::check_writable(&path.mount)?;
    if path.inode().kind() == FileKind::Symlink {
        return Err(errno::EOPNOTSUPP);
    }
    let attributes = path.inode().attributes()?;
    if !permission::is_owner(credentials, &attributes) {
        return Err(errno::EPERM);
    }
    let mut permissions = mode & 0o7777;
    // "If the calling process is not privileged, and the group of the file does not match, S_ISGID is turned off."
    if !credentials.is_in_group(attributes.gid) && !credentials.has(Capabilities::FSETID) {
        permissions &= !uapi::S_ISGID;
    }
    apply(path, &AttributeChange { permissions: Some(permissions), ..AttributeChange::default() })
}

/// Changes the owner or the group (`chown(2)`).
///
/// # Errors
///
/// `EROFS`, `EPERM`.
pub(crate) fn change_owner(
    credentials: &Credentials,
    path: &Path,
    uid: Option<u32>,
    gid: Option<u32>,
) -> Result<(), Errno> {
    permission::check_writable(&path.mount)?;
    let attributes = path.inode().attributes()?;
    let owns = attributes.uid == credentials.fsuid;
    let may_own = uid.is_none_or(|uid| owns && uid == attributes.uid);
    let may_group = gid.is_none_or(|gid| owns && (gid == attributes.gid || credentials.is_in_group(gid)));
    if !((may_own && may_group) || credentials.has(Capabilities::CHOWN)) {
        return Err(errno::EPERM);
    }
    let permissions =
        if attributes.kind == FileKind::Directory { None } else { without_set_ids(&attributes) };
    apply(path, &AttributeChange { permissions, uid, gid, ..AttributeChange::default() })
}

/// Changes the times (`utimensat(2)`); `None` leaves one as it is.
///
/// # Errors
///
/// `EROFS`; to set both to now, `EACCES` unless the caller may write the file or owns it; otherwise `EPERM` unless it owns
/// it.
pub(crate) fn change_times(
    credentials: &Credentials,
    path: &Path,
    accessed: Option<Change>,
    modified: Option<Change>,
) -> Result<(), Errno> {
    if accessed.is_none() && modified.is_none() {
        return Ok(());
    }
    permission::check_writable(&path.mount)?;
    let attributes = path.inode().attributes()?;
    if !permission::is_owner(credentials, &attributes) {
        let are_now = accessed == Some(Change::Now) && modified == Some(Change::Now);
        if !are_now {
            return Err(errno::EPERM);
        }
        permission::check_attributes(credentials, &attributes, Access::WRITE)?;
    }
    apply(path, &AttributeChange { accessed, modified, ..AttributeChange::default() })
}

/// Changes the size; that the file may be written was checked.
///
/// # Errors
///
/// What the file system says.
pub(crate) fn change_size(credentials: &Credentials, path: &Path, size: u64) -> Result<(), Errno> {
    let permissions = set_ids_lost(credentials, &**path.inode())?;
    let change = AttributeChange {
        size: Some(size),
        permissions,
        modified: Some(Change::Now),
        ..AttributeChange::default()
    };
    path.inode().set_attributes(&change)?;
    notify::of_file(&path.dentry, notify::Event::MODIFY);
    Ok(())
}

/// Returns the permissions that a file gets when `credentials` change its contents; `None` if they stay.
///
/// # Errors
///
/// What the file system says.
pub(crate) fn set_ids_lost(credentials: &Credentials, inode: &dyn Inode) -> Result<Option<u32>, Errno> {
    if credentials.has(Capabilities::FSETID) || inode.kind() != FileKind::Regular {
        return Ok(None);
    }
    Ok(without_set_ids(&inode.attributes()?))
}

/// Returns the permissions without the set-id bits; `None` if there are none. The set-group-id bit of a file that its group
/// can't execute means something else (mandatory locking), and stays.
fn without_set_ids(attributes: &Attributes) -> Option<u32> {
    let mut permissions = attributes.permissions & !uapi::S_ISUID;
    if permissions & uapi::S_IXGRP != 0 {
        permissions &= !uapi::S_ISGID;
    }
    (permissions != attributes.permissions).then_some(permissions)
}

fn apply(path: &Path, change: &AttributeChange) -> Result<(), Errno> {
    path.inode().set_attributes(change)?;
    notify::of_file(&path.dentry, notify::Event::ATTRIB);
    Ok(())
}
