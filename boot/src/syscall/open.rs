//! `open(2)`, `openat(2)`, `openat2(2)`, `creat(2)`.

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

use super::{Address, Fd, PathPtr, Size, UInt, paths};
use crate::error::{SyscallResult, fail};
use crate::fs::open::{self, MODE_MASK, OpenHow};
use crate::fs::{OpenFlags, Path, Resolve, Walker};
use crate::prelude::{SyscallCx, errno};

/// `struct open_how`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct RawOpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// Handles `open(path, flags, mode)`.
pub(super) fn sys_open(cx: &mut SyscallCx<'_>, path: PathPtr, flags: UInt, mode: UInt) -> SyscallResult {
    sys_openat(cx, Fd::CWD, path, flags, mode)
}

/// Handles `creat(path, mode)`.
pub(super) fn sys_creat(cx: &mut SyscallCx<'_>, path: PathPtr, mode: UInt) -> SyscallResult {
    let flags = OpenFlags::CREATE | OpenFlags::WRITE_ONLY | OpenFlags::TRUNCATE;
    sys_openat(cx, Fd::CWD, path, flags.bits(), mode)
}

/// Handles `openat(dirfd, path, flags, mode)`.
pub(super) fn sys_openat(
    cx: &mut SyscallCx<'_>,
    dir: Fd,
    path: PathPtr,
    raw_flags: UInt,
    mode: UInt,
) -> SyscallResult {
    let mut flags = OpenFlags::from_bits_truncate(raw_flags);
    if flags.contains(OpenFlags::PATH) {
        // "O_PATH: flags other than O_CLOEXEC, O_DIRECTORY, and O_NOFOLLOW are ignored."
        flags &= OpenFlags::PATH | OpenFlags::CLOSE_ON_EXEC | OpenFlags::DIRECTORY | OpenFlags::NO_FOLLOW;
    }
    check_unnamed(flags)?;
    let path = cx.memory().read_path(path)?;
    let base = paths::base(cx, dir, &path)?;
    finish(cx, Walker::new(cx.task), base, &path, OpenHow { flags, mode: mode & MODE_MASK })
}

/// Handles `openat2(dirfd, path, how, size)`. `RESOLVE_CACHED` always asks the caller to try again without it, which its
/// users must be prepared for.
pub(super) fn sys_openat2(
    cx: &mut SyscallCx<'_>,
    dir: Fd,
    path: PathPtr,
    how: Address,
    size: Size,
) -> SyscallResult {
    let mut raw = RawOpenHow::new_zeroed();
    super::extensible::read(cx, how, size, &mut raw)?;
    let invalid = || fail(errno::EINVAL, "`how` is invalid");
    let flags = u32::try_from(raw.flags).ok().and_then(OpenFlags::from_bits).ok_or_else(invalid)?;
    let mode = u32::try_from(raw.mode).ok().filter(|mode| mode & !MODE_MASK == 0).ok_or_else(invalid)?;
    let resolve = Resolve::from_bits(raw.resolve).ok_or_else(invalid)?;
    let may_create = flags.intersects(OpenFlags::CREATE | OpenFlags::UNNAMED);
    let with_path = OpenFlags::PATH | OpenFlags::CLOSE_ON_EXEC | OpenFlags::DIRECTORY | OpenFlags::NO_FOLLOW;
    if (mode != 0 && !may_create)
        || (flags.contains(OpenFlags::PATH) && !with_path.contains(flags))
        || resolve.contains(Resolve::BENEATH | Resolve::IN_ROOT)
    {
        return Err(invalid());
    }
    check_unnamed(flags)?;
    if resolve.contains(Resolve::CACHED) {
        return Err(fail(errno::EAGAIN, "RESOLVE_CACHED is not supported"));
    }
    let path = cx.memory().read_path(path)?;
    let base = match dir {
        Fd::CWD => cx.task.fs().cwd(),
        // Even an absolute path may start there (`RESOLVE_IN_ROOT`).
        _ if resolve.contains(Resolve::IN_ROOT) => cx.any_file(dir)?.path().clone(),
        _ => paths::base(cx, dir, &path)?,
    };
    let walker = Walker::new(cx.task).restricted(resolve, &base);
    finish(cx, walker, base, &path, OpenHow { flags, mode })
}

/// Checks the rules of `O_TMPFILE`: a directory is named, and the file is to be written.
fn check_unnamed(flags: OpenFlags) -> Result<(), crate::error::Fail> {
    if !flags.contains(OpenFlags::UNNAMED) {
        return Ok(());
    }
    let is_valid =
        flags.contains(OpenFlags::DIRECTORY) && flags.is_writable() && !flags.contains(OpenFlags::CREATE);
    if is_valid { Ok(()) } else { Err(fail(errno::EINVAL, "O_TMPFILE needs write access")) }
}

fn finish(
    cx: &mut SyscallCx<'_>,
    mut walker: Walker<'_>,
    base: Path,
    path: &[u8],
    how: OpenHow,
) -> SyscallResult {
    // As Linux does for 64-bit programs, so that they see it with F_GETFL.
    let large = if how.flags.contains(OpenFlags::PATH) { OpenFlags::empty() } else { OpenFlags::LARGE_FILE };
    let file = open::open(cx, &mut walker, base, path, OpenHow { flags: how.flags | large, ..how })?;
    let fd = cx.install(file, how.flags.contains(OpenFlags::CLOSE_ON_EXEC))?;
    Ok(fd.into())
}
