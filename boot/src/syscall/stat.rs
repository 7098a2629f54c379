//! `stat(2)` and its like, `statx(2)`, `statfs(2)`, `access(2)`.

use cloister_abi::stat::{Stat, Statfs, Statx, StatxTimestamp, encode_device};

use super::{Address, Fd, PathPtr, UInt, paths};
use crate::error::{Outcome, SyscallResult, fail};
use crate::fs::{Access, Attributes, MountFlags, Path, Timestamp, Walker, permission};
use crate::prelude::{Arc, SyscallCx, errno, uapi};
use crate::task::{Capabilities, Credentials};

/// Handles `stat(path, buf)`.
pub(super) fn sys_stat(cx: &mut SyscallCx<'_>, path: PathPtr, buf: Address) -> SyscallResult {
    sys_newfstatat(cx, Fd::CWD, path, buf, 0)
}

/// Handles `lstat(path, buf)`.
pub(super) fn sys_lstat(cx: &mut SyscallCx<'_>, path: PathPtr, buf: Address) -> SyscallResult {
    sys_newfstatat(cx, Fd::CWD, path, buf, uapi::AT_SYMLINK_NOFOLLOW)
}

/// Handles `fstat(fd, buf)`.
pub(super) fn sys_fstat(cx: &mut SyscallCx<'_>, fd: Fd, buf: Address) -> SyscallResult {
    let file = cx.any_file(fd)?;
    write_stat(cx, file.path(), buf)
}

/// Handles `newfstatat(dirfd, path, buf, flags)`.
pub(super) fn sys_newfstatat(
    cx: &mut SyscallCx<'_>,
    dir: Fd,
    path: PathPtr,
    buf: Address,
    flags: UInt,
) -> SyscallResult {
    paths::check_flags(flags, uapi::AT_SYMLINK_NOFOLLOW | uapi::AT_EMPTY_PATH | uapi::AT_NO_AUTOMOUNT)?;
    let found = paths::lookup(cx, dir, path, flags)?;
    write_stat(cx, &found, buf)
}

fn write_stat(cx: &SyscallCx<'_>, path: &Path, buf: Address) -> SyscallResult {
    let attributes = path.inode().attributes()?;
    let time = |time: Timestamp| [time.seconds.cast_unsigned(), u64::from(time.nanoseconds)];
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let stat = Stat {
        dev: encode_device(path.mount.file_system.device()),
        ino: attributes.inode,
        nlink: u64::from(attributes.links),
        mode: attributes.mode(),
        uid: attributes.uid,
        gid: attributes.gid,
        pad: 0,
        rdev: encode_device(attributes.device),
        size: signed(attributes.size),
        blksize: i64::from(attributes.block_bytes),
        blocks: signed(attributes.blocks),
        atime: time(attributes.accessed),
        mtime: time(attributes.modified),
        ctime: time(attributes.changed),
        unused: [0; 3],
    };
    cx.memory().write(buf, &stat)?;
    Ok(Outcome::OK)
}

/// Handles `statx(dirfd, path, flags, mask, buf)`. All that is known is told, whatever `mask` asks for.
pub(super) fn sys_statx(
    cx: &mut SyscallCx<'_>,
    dir: Fd,
    path: PathPtr,
    flags: UInt,
    mask: UInt,
    buf: Address,
) -> SyscallResult {
    let sync = uapi::AT_STATX_FORCE_SYNC | uapi::AT_STATX_DONT_SYNC;
    let known = uapi::AT_SYMLINK_NOFOLLOW | uapi::AT_EMPTY_PATH | uapi::AT_NO_AUTOMOUNT;
    paths::check_flags(flags, known | sync)?;
    if flags & sync == sync || mask & uapi::STATX__RESERVED != 0 {
        return Err(fail(errno::EINVAL, "`flags` contradict each other, or `mask` is unknown"));
    }
    let found = paths::lookup(cx, dir, path, flags)?;
    let statx = statx_of(&found, &found.inode().attributes()?);
    cx.memory().write(buf, &statx)?;
    Ok(Outcome::OK)
}

fn statx_of(path: &Path, attributes: &Attributes) -> Statx {
    let time = |time: Timestamp| StatxTimestamp { sec: time.seconds, nsec: time.nanoseconds, pad: 0 };
    let (device, rdev) = (path.mount.file_system.device(), attributes.device);
    let mut statx = Statx {
        mask: uapi::STATX_BASIC_STATS | uapi::STATX_MNT_ID,
        blksize: attributes.block_bytes,
        attributes_mask: u64::from(uapi::STATX_ATTR_MOUNT_ROOT),
        nlink: attributes.links,
        uid: attributes.uid,
        gid: attributes.gid,
        // The mode has 16 bits.
        mode: u16::try_from(attributes.mode() & 0xffff).unwrap_or(0),
        ino: attributes.inode,
        size: attributes.size,
        blocks: attributes.blocks,
        atime: time(attributes.accessed),
        ctime: time(attributes.changed),
        mtime: time(attributes.modified),
        rdev: [rdev.0, rdev.1],
        dev: [device.0, device.1],
        mnt_id: u64::from(path.mount.id),
        ..Statx::default()
    };
    if let Some(created) = attributes.created {
        statx.mask |= uapi::STATX_BTIME;
        statx.btime = time(created);
    }
    if path.is_mount_root() {
        statx.attributes |= u64::from(uapi::STATX_ATTR_MOUNT_ROOT);
    }
    statx
}

/// Handles `statfs(path, buf)`.
pub(super) fn sys_statfs(cx: &mut SyscallCx<'_>, path: PathPtr, buf: Address) -> SyscallResult {
    let found = paths::lookup(cx, Fd::CWD, path, 0)?;
    write_statfs(cx, &found, buf)
}

/// Handles `fstatfs(fd, buf)`.
pub(super) fn sys_fstatfs(cx: &mut SyscallCx<'_>, fd: Fd, buf: Address) -> SyscallResult {
    let file = cx.any_file(fd)?;
    write_statfs(cx, file.path(), buf)
}

/// `ST_VALID`: the flags are filled in.
const ST_VALID: i64 = 0x20;

/// The flags of a mount as `statfs(2)` tells them: `ST_RDONLY`, `ST_NOSUID`, `ST_NODEV`, `ST_NOEXEC`, `ST_NOATIME`,
/// `ST_NODIRATIME`, `ST_RELATIME`.
const STATFS_FLAGS: [(MountFlags, i64); 7] = [
    (MountFlags::READ_ONLY, 1),
    (MountFlags::NO_SUID, 2),
    (MountFlags::NO_DEVICES, 4),
    (MountFlags::NO_EXECUTE, 8),
    (MountFlags::NO_ACCESS_TIME, 1024),
    (MountFlags::NO_DIRECTORY_ACCESS_TIME, 2048),
    (MountFlags::RELATIVE_ACCESS_TIME, 4096),
];

fn write_statfs(cx: &SyscallCx<'_>, path: &Path, buf: Address) -> SyscallResult {
    let told = path.inode().statistics()?;
    let mount_flags = path.mount.flags();
    let flags = STATFS_FLAGS.iter().filter(|(flag, _)| mount_flags.contains(*flag)).map(|(_, bit)| bit);
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let device = path.mount.file_system.device();
    let statfs = Statfs {
        kind: signed(told.magic),
        bsize: signed(told.block_bytes),
        blocks: told.blocks,
        bfree: told.blocks_free,
        bavail: told.blocks_available,
        files: told.files,
        ffree: told.files_free,
        fsid: [device.1, device.0],
        namelen: signed(told.name_max),
        frsize: signed(told.block_bytes),
        flags: flags.fold(ST_VALID, |all, bit| all | bit),
        spare: [0; 4],
    };
    cx.memory().write(buf, &statfs)?;
    Ok(Outcome::OK)
}

/// Handles `access(path, mode)`.
pub(super) fn sys_access(cx: &mut SyscallCx<'_>, path: PathPtr, mode: UInt) -> SyscallResult {
    sys_faccessat2(cx, Fd::CWD, path, mode, 0)
}

/// Handles `faccessat(dirfd, path, mode)`.
pub(super) fn sys_faccessat(cx: &mut SyscallCx<'_>, dir: Fd, path: PathPtr, mode: UInt) -> SyscallResult {
    sys_faccessat2(cx, dir, path, mode, 0)
}

/// Handles `faccessat2(dirfd, path, mode, flags)`.
pub(super) fn sys_faccessat2(
    cx: &mut SyscallCx<'_>,
    dir: Fd,
    path: PathPtr,
    mode: UInt,
    flags: UInt,
) -> SyscallResult {
    let access = Access::from_bits(mode).ok_or(fail(errno::EINVAL, "unknown `mode`"))?;
    paths::check_flags(flags, uapi::AT_EACCESS | uapi::AT_SYMLINK_NOFOLLOW | uapi::AT_EMPTY_PATH)?;
    let credentials = if flags & uapi::AT_EACCESS != 0 { cx.credentials() } else { real(&cx.credentials()) };
    let walker = Walker::with_credentials(cx.task, Arc::clone(&credentials));
    let found = paths::lookup_as(cx, walker, dir, path, flags)?;
    permission::check(&credentials, &found, access)?;
    Ok(Outcome::OK)
}

/// Returns the credentials by which `access(2)` decides: those of the real ids, as `execve` of a program that gives up its
/// privileges would have.
fn real(credentials: &Credentials) -> Arc<Credentials> {
    let effective = if credentials.uid == 0 { credentials.permitted } else { Capabilities::empty() };
    Arc::new(Credentials { fsuid: credentials.uid, fsgid: credentials.gid, effective, ..credentials.clone() })
}
