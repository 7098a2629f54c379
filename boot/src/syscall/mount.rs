//! `mount(2)`, `umount2(2)`, `pivot_root(2)`, `name_to_handle_at(2)`.

use super::{Address, Fd, PathPtr, Text, UInt, ULong, paths};
use crate::context::SyscallCx;
use crate::error::{Fail, Outcome, SyscallResult, fail};
use crate::fs::devpts::{self, DevptsOptions};
use crate::fs::tmpfs::{Tmpfs, TmpfsOptions};
use crate::fs::{
    Dentry, Inode, MountFlags, NewMount, Path, Recursive, Unmount, new_device_number, proc, sys,
};
use crate::prelude::{Arc, errno, uapi};
use crate::task::Capabilities;

/// The longest string of options: a page.
const MAX_DATA: usize = 4096;

/// The flags that change how far mounts and unmounts spread to other namespaces.
const PROPAGATION: u32 = uapi::MS_SHARED | uapi::MS_PRIVATE | uapi::MS_SLAVE | uapi::MS_UNBINDABLE;

/// The flags that a mount keeps.
const KEPT: MountFlags = MountFlags::all();

fn check_admin(cx: &SyscallCx<'_>) -> Result<(), Fail> {
    if cx.credentials().has(Capabilities::SYS_ADMIN) {
        Ok(())
    } else {
        Err(fail(errno::EPERM, "needs CAP_SYS_ADMIN"))
    }
}

fn read_text(cx: &SyscallCx<'_>, text: Text, max: usize) -> Result<String, Fail> {
    if text.0.is_null() {
        return Ok(String::new());
    }
    let bytes = cx.memory().read_string(text.0.0, max)?;
    String::from_utf8(bytes).map_err(|_| fail(errno::EINVAL, "not UTF-8"))
}

/// Handles `mount(source, target, fstype, flags, data)`. Every mount is private: that is accepted, and nothing else.
pub(super) fn sys_mount(
    cx: &mut SyscallCx<'_>,
    source: Text,
    target: PathPtr,
    fstype: Text,
    raw_flags: ULong,
    data: Text,
) -> SyscallResult {
    // The magic number that callers once had to give.
    let raw = u32::try_from(raw_flags & 0xffff_ffff).unwrap_or(0);
    let raw = if raw & 0xffff_0000 == uapi::MS_MGC_VAL { raw & 0xffff } else { raw };
    let at = paths::lookup(cx, Fd::CWD, target, 0)?;
    check_admin(cx)?;
    let mut flags = MountFlags::from_bits_truncate(u64::from(raw)) & KEPT;
    if raw & (uapi::MS_NOATIME | uapi::MS_STRICTATIME) == 0 {
        flags |= MountFlags::RELATIVE_ACCESS_TIME;
    }
    let recursive = if raw & uapi::MS_REC != 0 { Recursive::Yes } else { Recursive::No };
    let namespace = cx.task.fs().namespace();
    if raw & uapi::MS_REMOUNT != 0 {
        if !at.is_mount_root() {
            return Err(fail(errno::EINVAL, "`target` is no mount point"));
        }
        at.mount.set_flags(flags);
    } else if raw & uapi::MS_BIND != 0 {
        let from = paths::lookup(cx, Fd::CWD, PathPtr(source.0), 0)?;
        namespace.bind(&from, at, recursive)?;
    } else if raw & PROPAGATION != 0 {
        if !at.is_mount_root() || raw & PROPAGATION & !(uapi::MS_PRIVATE | uapi::MS_SLAVE) != 0 {
            return Err(fail(errno::EINVAL, "only private mounts are supported"));
        }
    } else if raw & uapi::MS_MOVE != 0 {
        let from = paths::lookup(cx, Fd::CWD, PathPtr(source.0), 0)?;
        if !from.is_mount_root() {
            return Err(fail(errno::EINVAL, "`source` is no mount point"));
        }
        namespace.move_to(&from.mount, at)?;
    } else {
        let source = read_text(cx, source, MAX_DATA)?;
        let (kind, data) = (read_text(cx, fstype, MAX_DATA)?, read_text(cx, data, MAX_DATA)?);
        let root = new_root(cx, &kind, &data)?;
        namespace.mount(NewMount { root, source, flags, options: data }, at)?;
    }
    Ok(Outcome::OK)
}

/// Makes the file system of a type that guests can mount.
fn new_root(cx: &SyscallCx<'_>, kind: &str, data: &str) -> Result<Arc<Dentry>, Fail> {
    Ok(match kind {
        "tmpfs" | "ramfs" => {
            let memory = cx.kernel().options.memory_bytes;
            let credentials = cx.credentials();
            let options = TmpfsOptions {
                size: memory / 2,
                uid: credentials.fsuid,
                gid: credentials.fsgid,
                ..TmpfsOptions::default()
            };
            let root: Arc<dyn Inode> = Tmpfs::new_root(options.parse(data, memory)?);
            Dentry::new_root(root)
        }
        "devpts" => Dentry::new_root(devpts::Directory::new_root(DevptsOptions::default().parse(data)?)),
        "proc" => proc::new_tree(cx.kernel(), cx.task.pid_namespace(), new_device_number()),
        "sysfs" => sys::new_tree(cx.kernel(), new_device_number()),
        _ => return Err(fail(errno::ENODEV, "file systems of this type can't be mounted")),
    })
}

/// Handles `umount2(target, flags)`. `MNT_EXPIRE` is refused.
pub(super) fn sys_umount2(cx: &mut SyscallCx<'_>, target: PathPtr, flags: UInt) -> SyscallResult {
    paths::check_flags(flags, uapi::MNT_FORCE | uapi::MNT_DETACH | uapi::UMOUNT_NOFOLLOW)?;
    check_admin(cx)?;
    let follow = if flags & uapi::UMOUNT_NOFOLLOW != 0 { uapi::AT_SYMLINK_NOFOLLOW } else { 0 };
    let Path { mount, dentry } = paths::lookup(cx, Fd::CWD, target, follow)?;
    if !Arc::ptr_eq(&mount.root, &dentry) {
        return Err(fail(errno::EINVAL, "`target` is no mount point"));
    }
    let when = if flags & uapi::MNT_DETACH != 0 { Unmount::Lazily } else { Unmount::IfUnused };
    cx.task.fs().namespace().unmount(&mount, when)?;
    Ok(Outcome::OK)
}

/// Handles `pivot_root(new_root, put_old)`. All tasks whose root or current directory was the old root get the new one.
pub(super) fn sys_pivot_root(cx: &mut SyscallCx<'_>, new_root: PathPtr, put_old: PathPtr) -> SyscallResult {
    check_admin(cx)?;
    let new_root = paths::lookup(cx, Fd::CWD, new_root, 0)?;
    let put_old = paths::lookup(cx, Fd::CWD, put_old, 0)?;
    let old_root = cx.task.fs().root();
    cx.task.fs().namespace().pivot_root(&old_root, &new_root, &put_old)?;
    let tasks: Vec<_> = cx.kernel().processes.lock().tasks().cloned().collect();
    for task in tasks {
        task.fs().replace(&old_root, &new_root);
    }
    Ok(Outcome::OK)
}

/// Handles `name_to_handle_at(dirfd, path, handle, mount_id, flags)`: no file system here has handles.
pub(super) fn sys_name_to_handle_at(
    cx: &mut SyscallCx<'_>,
    dir: Fd,
    path: PathPtr,
    _handle: Address,
    _mount_id: Address,
    flags: UInt,
) -> SyscallResult {
    paths::check_flags(flags, uapi::AT_SYMLINK_FOLLOW | uapi::AT_EMPTY_PATH)?;
    let follow = if flags & uapi::AT_SYMLINK_FOLLOW != 0 { 0 } else { uapi::AT_SYMLINK_NOFOLLOW };
    paths::lookup(cx, dir, path, flags & uapi::AT_EMPTY_PATH | follow)?;
    Err(fail(errno::EOPNOTSUPP, "the file system has no handles"))
}
