//! The calls of extended attributes (`xattr(7)`).

use super::{Address, Fd, Int, PathPtr, Size, Text, paths};
use crate::error::{Errno, Fail, Outcome, SyscallResult, fail};
use crate::fs::{Access, FileKind, Path, XattrMode, permission};
use crate::prelude::{SyscallCx, errno, uapi};
use crate::task::Capabilities;

/// The longest name, without its NUL.
const NAME_MAX: usize = uapi::XATTR_NAME_MAX as usize;

/// The largest value.
const SIZE_MAX: usize = uapi::XATTR_SIZE_MAX as usize;

fn follow(cx: &SyscallCx<'_>, path: PathPtr) -> Result<Path, Fail> {
    paths::lookup(cx, Fd::CWD, path, 0)
}

fn no_follow(cx: &SyscallCx<'_>, path: PathPtr) -> Result<Path, Fail> {
    paths::lookup(cx, Fd::CWD, path, uapi::AT_SYMLINK_NOFOLLOW)
}

fn of_fd(cx: &SyscallCx<'_>, fd: Fd) -> Result<Path, Fail> {
    Ok(cx.file(fd)?.path().clone())
}

fn read_name(cx: &SyscallCx<'_>, name: Text) -> Result<Vec<u8>, Fail> {
    let out_of_range = fail(errno::ERANGE, "`name` is empty or too long");
    match cx.memory().read_string(name.0.0, NAME_MAX + 1) {
        Ok(name) if !name.is_empty() => Ok(name),
        Ok(_) => Err(out_of_range),
        Err(failure) if failure.is(errno::ENAMETOOLONG) => Err(out_of_range),
        Err(failure) => Err(failure),
    }
}

/// Checks that the caller may get at an attribute (`xattr(7)`, "Extended attribute namespaces").
fn check(cx: &SyscallCx<'_>, path: &Path, name: &[u8], access: Access) -> Result<(), Fail> {
    let credentials = cx.credentials();
    let changes = access.contains(Access::WRITE);
    if changes {
        permission::check_writable(&path.mount)?;
    }
    if name.starts_with(b"trusted.") {
        let otherwise = if changes { errno::EPERM } else { errno::ENODATA };
        return if credentials.has(Capabilities::SYS_ADMIN) { Ok(()) } else { Err(otherwise.into()) };
    }
    if name.starts_with(b"security.") {
        let is_privileged = credentials.has(Capabilities::SYS_ADMIN)
            || (name == b"security.capability" && credentials.has(Capabilities::SETFCAP));
        return if changes && !is_privileged { Err(errno::EPERM.into()) } else { Ok(()) };
    }
    if name.starts_with(b"user.") {
        let kind = path.inode().kind();
        if !matches!(kind, FileKind::Regular | FileKind::Directory) {
            return Err(if changes { errno::EPERM } else { errno::ENODATA }.into());
        }
        let attributes = path.inode().attributes()?;
        let is_sticky = kind == FileKind::Directory && attributes.permissions & uapi::S_ISVTX != 0;
        if changes && is_sticky && !permission::is_owner(&credentials, &attributes) {
            return Err(errno::EPERM.into());
        }
        permission::check_attributes(&credentials, &attributes, access)?;
    }
    Ok(())
}

fn set(cx: &SyscallCx<'_>, path: &Path, name: Text, value: Address, size: Size, flags: Int) -> SyscallResult {
    let mode = match flags.cast_unsigned() {
        0 => XattrMode::Any,
        uapi::XATTR_CREATE => XattrMode::Create,
        uapi::XATTR_REPLACE => XattrMode::Replace,
        _ => return Err(fail(errno::EINVAL, "unknown `flags`")),
    };
    let name = read_name(cx, name)?;
    if size > SIZE_MAX {
        return Err(fail(errno::E2BIG, "`size` is too large"));
    }
    let value: Vec<u8> = cx.memory().read_array(value, size)?;
    check(cx, path, &name, Access::WRITE)?;
    path.inode().set_xattr(&name, &value, mode)?;
    Ok(Outcome::OK)
}

fn get(cx: &SyscallCx<'_>, path: &Path, name: Text, value: Address, size: Size) -> SyscallResult {
    let name = read_name(cx, name)?;
    check(cx, path, &name, Access::READ)?;
    give(cx, &path.inode().xattr(&name)?, value, size)
}

/// Gives the caller bytes, or their number if it has no room (`size` is 0).
fn give(cx: &SyscallCx<'_>, bytes: &[u8], to: Address, size: Size) -> SyscallResult {
    if size > 0 {
        if bytes.len() > size {
            return Err(fail(errno::ERANGE, "`size` is too small"));
        }
        cx.memory().write_bytes(to, bytes)?;
    }
    Ok(bytes.len().into())
}

fn list(cx: &SyscallCx<'_>, path: &Path, to: Address, size: Size) -> SyscallResult {
    let sees_trusted = cx.credentials().has(Capabilities::SYS_ADMIN);
    let names = match path.inode().xattr_names() {
        // A file system without attributes has an empty list.
        Err(errno::EOPNOTSUPP) => Vec::new(),
        other => other?,
    };
    let mut told = Vec::new();
    for name in names.iter().filter(|name| sees_trusted || !name.starts_with(b"trusted.")) {
        told.extend_from_slice(name);
        told.push(0);
    }
    give(cx, &told, to, size)
}

fn remove(cx: &SyscallCx<'_>, path: &Path, name: Text) -> SyscallResult {
    let name = read_name(cx, name)?;
    check(cx, path, &name, Access::WRITE)?;
    path.inode().remove_xattr(&name).map_err(|errno: Errno| fail(errno, ""))?;
    Ok(Outcome::OK)
}

/// Makes the three variants of a call: by a path, by a path whose last link is not followed, by a descriptor.
macro_rules! variants {
    ($work:ident($($arg:ident: $type:ty),*): $by_path:ident, $by_link:ident, $by_fd:ident) => {
        #[doc = concat!("Handles `", stringify!($by_path), "`.")]
        pub(super) fn $by_path(cx: &mut SyscallCx<'_>, path: PathPtr, $($arg: $type),*) -> SyscallResult {
            let found = follow(cx, path)?;
            $work(cx, &found, $($arg),*)
        }

        #[doc = concat!("Handles `", stringify!($by_link), "`.")]
        pub(super) fn $by_link(cx: &mut SyscallCx<'_>, path: PathPtr, $($arg: $type),*) -> SyscallResult {
            let found = no_follow(cx, path)?;
            $work(cx, &found, $($arg),*)
        }

        #[doc = concat!("Handles `", stringify!($by_fd), "`.")]
        pub(super) fn $by_fd(cx: &mut SyscallCx<'_>, fd: Fd, $($arg: $type),*) -> SyscallResult {
            let found = of_fd(cx, fd)?;
            $work(cx, &found, $($arg),*)
        }
    };
}

variants!(set(name: Text, value: Address, size: Size, flags: Int): sys_setxattr, sys_lsetxattr, sys_fsetxattr);
variants!(get(name: Text, value: Address, size: Size): sys_getxattr, sys_lgetxattr, sys_fgetxattr);
variants!(list(to: Address, size: Size): sys_listxattr, sys_llistxattr, sys_flistxattr);
variants!(remove(name: Text): sys_removexattr, sys_lremovexattr, sys_fremovexattr);
