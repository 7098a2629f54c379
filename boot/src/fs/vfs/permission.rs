//! Whether a task may do something to an inode (`path_resolution(7)`, "Permissions"; `capabilities(7)`).

use bitflags::bitflags;

use super::{Attributes, FileKind, Inode, Mount, Path};
use crate::error::Errno;
use crate::prelude::{errno, uapi};
use crate::task::{Capabilities, Credentials};

bitflags! {
    /// A kind of access, with the bits of a mode and of `access(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct Access: u32 {
        /// Execution, or the search of a directory.
        const EXECUTE = 1;
        /// Writing, or the change of a directory's names.
        const WRITE = 2;
        /// Reading.
        const READ = 4;
    }
}

/// The bits of a mode that let anyone execute.
const ANY_EXECUTE: u32 = uapi::S_IXUSR | uapi::S_IXGRP | uapi::S_IXOTH;

/// Checks that `credentials` allow `access` to an inode with these attributes; the mount is not looked at.
///
/// # Errors
///
/// `EACCES` if they do not.
pub(crate) fn check_attributes(
    credentials: &Credentials,
    attributes: &Attributes,
    access: Access,
) -> Result<(), Errno> {
    let shift = if attributes.uid == credentials.fsuid {
        6
    } else if credentials.is_in_group(attributes.gid) {
        3
    } else {
        0
    };
    if Access::from_bits_truncate(attributes.permissions >> shift).contains(access) {
        return Ok(());
    }
    let is_directory = attributes.kind == FileKind::Directory;
    let is_executable = is_directory || attributes.permissions & ANY_EXECUTE != 0;
    let overrides = !access.contains(Access::EXECUTE) || is_executable;
    let reads_only = access == Access::READ || (is_directory && !access.contains(Access::WRITE));
    if (overrides && credentials.has(Capabilities::DAC_OVERRIDE))
        || (reads_only && credentials.has(Capabilities::DAC_READ_SEARCH))
    {
        return Ok(());
    }
    Err(errno::EACCES)
}

/// Checks that `credentials` allow `access` to what `path` names, and the mount does too.
///
/// # Errors
///
/// `EROFS` for a write where the mount is read-only, `EACCES` if the mode or a `noexec` mount forbids it.
pub(crate) fn check(credentials: &Credentials, path: &Path, access: Access) -> Result<(), Errno> {
    let kind = path.inode().kind();
    if access.contains(Access::WRITE) && is_stored(kind) {
        check_writable(&path.mount)?;
    }
    if access.contains(Access::EXECUTE)
        && kind == FileKind::Regular
        && path.mount.flags().contains(super::MountFlags::NO_EXECUTE)
    {
        return Err(errno::EACCES);
    }
    if access.is_empty() {
        return Ok(());
    }
    check_attributes(credentials, &path.inode().attributes()?, access)
}

/// Checks that a directory can be searched.
///
/// # Errors
///
/// `ENOTDIR` if it is none, `EACCES` if it may not be.
pub(crate) fn check_search(credentials: &Credentials, directory: &dyn Inode) -> Result<(), Errno> {
    if directory.kind() != FileKind::Directory {
        return Err(errno::ENOTDIR);
    }
    if credentials.effective.intersects(Capabilities::DAC_OVERRIDE.union(Capabilities::DAC_READ_SEARCH)) {
        return Ok(());
    }
    check_attributes(credentials, &directory.attributes()?, Access::EXECUTE)
}

/// Checks that a mount is not read-only.
///
/// # Errors
///
/// `EROFS` if it is.
pub(crate) fn check_writable(mount: &Mount) -> Result<(), Errno> {
    if mount.is_read_only() { Err(errno::EROFS) } else { Ok(()) }
}

/// Returns whether `credentials` are those of the owner, or of someone with an owner's rights (`CAP_FOWNER`).
pub(crate) fn is_owner(credentials: &Credentials, attributes: &Attributes) -> bool {
    attributes.uid == credentials.fsuid || credentials.has(Capabilities::FOWNER)
}

/// Checks that names may be made in `directory`.
///
/// # Errors
///
/// `ENOENT` if it was removed, `EROFS`, `EACCES`.
pub(crate) fn check_create(credentials: &Credentials, directory: &Path) -> Result<(), Errno> {
    if directory.dentry.is_removed() {
        return Err(errno::ENOENT);
    }
    check(credentials, directory, Access::WRITE | Access::EXECUTE)
}

/// Checks that the name of `victim` in `directory` may be removed or given to something else.
///
/// # Errors
///
/// `EROFS`, `EACCES`, `EPERM` in a sticky directory.
pub(crate) fn check_remove(
    credentials: &Credentials,
    directory: &Path,
    victim: &dyn Inode,
) -> Result<(), Errno> {
    check(credentials, directory, Access::WRITE | Access::EXECUTE)?;
    if credentials.has(Capabilities::FOWNER) {
        return Ok(());
    }
    let of_directory = directory.inode().attributes()?;
    let is_sticky = of_directory.permissions & uapi::S_ISVTX != 0;
    if is_sticky && of_directory.uid != credentials.fsuid && victim.attributes()?.uid != credentials.fsuid {
        return Err(errno::EPERM);
    }
    Ok(())
}

/// Returns whether an inode's contents are in its file system, so that a read-only mount protects them.
fn is_stored(kind: FileKind) -> bool {
    matches!(kind, FileKind::Regular | FileKind::Directory | FileKind::Symlink)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Timestamp;

    fn attributes(kind: FileKind, permissions: u32) -> Attributes {
        let zero = Timestamp::default();
        Attributes {
            inode: 1,
            kind,
            permissions,
            links: 1,
            uid: 1,
            gid: 2,
            device: (0, 0),
            size: 0,
            blocks: 0,
            block_bytes: 4096,
            accessed: zero,
            modified: zero,
            changed: zero,
            created: None,
        }
    }

    fn may(credentials: &Credentials, permissions: u32, access: Access) -> bool {
        check_attributes(credentials, &attributes(FileKind::Regular, permissions), access).is_ok()
    }

    #[test]
    fn the_first_class_that_fits_decides() {
        let owner = Credentials { fsuid: 1, fsgid: 2, ..Credentials::default() };
        assert!(!may(&owner, 0o077, Access::READ));
        let member = Credentials { fsuid: 9, fsgid: 9, groups: vec![2], ..Credentials::default() };
        assert!(!may(&member, 0o707, Access::READ) && may(&member, 0o070, Access::WRITE));
        let other = Credentials { fsuid: 9, fsgid: 9, ..Credentials::default() };
        assert!(may(&other, 0o004, Access::READ) && !may(&other, 0o770, Access::READ));
    }

    #[test]
    fn capabilities_override_but_do_not_make_executable() {
        let root = Credentials { effective: Capabilities::DAC_OVERRIDE, ..Credentials::default() };
        assert!(may(&root, 0, Access::READ | Access::WRITE) && !may(&root, 0o666, Access::EXECUTE));
        assert!(may(&root, 0o001, Access::EXECUTE));
        let reader = Credentials { effective: Capabilities::DAC_READ_SEARCH, ..Credentials::default() };
        assert!(may(&reader, 0, Access::READ) && !may(&reader, 0, Access::WRITE));
        let directory = attributes(FileKind::Directory, 0);
        check_attributes(&reader, &directory, Access::READ | Access::EXECUTE).unwrap();
    }
}
