//! `ioctl(2)`: the requests of all files; the others are the file's.

use cloister_abi::ioctl;

use super::{Address, Fd, UInt};
use crate::error::{Outcome, SyscallResult, fail};
use crate::fs::{FdFlags, FileKind, OpenFlags};
use crate::prelude::{SyscallCx, errno};

/// `FIGETBSZ`: the size of a block.
const FIGETBSZ: u32 = 2;

/// `FICLONE`, `FICLONERANGE`: copies that share space, which no file system here makes.
const CLONES: [u32; 2] = [0x4004_9409, 0x4020_940d];

/// Handles `ioctl(fd, request, argp)`.
pub(super) fn sys_ioctl(cx: &mut SyscallCx<'_>, fd: Fd, request: UInt, arg: Address) -> SyscallResult {
    let file = cx.file(fd)?;
    match request {
        ioctl::FIOCLEX => cx.files().set_flags(fd.0, FdFlags::CLOSE_ON_EXEC)?,
        ioctl::FIONCLEX => cx.files().set_flags(fd.0, FdFlags::empty())?,
        ioctl::FIONBIO | ioctl::FIOASYNC => {
            let is_on: i32 = cx.memory().read(arg)?;
            let flag = if request == ioctl::FIONBIO { OpenFlags::NON_BLOCKING } else { OpenFlags::ASYNC };
            let mut flags = file.flags();
            flags.set(flag, is_on != 0);
            file.ops().check_status_flags(flags.bits())?;
            file.set_status_flags(flags);
        }
        ioctl::FIONREAD if file.inode().kind() == FileKind::Regular && !file.ops().is_stream() => {
            let rest = file.size()?.saturating_sub(*file.position());
            cx.memory().write(arg, &i32::try_from(rest).unwrap_or(i32::MAX))?;
        }
        FIGETBSZ if matches!(file.inode().kind(), FileKind::Regular | FileKind::Directory) => {
            cx.memory().write(arg, &file.inode().attributes()?.block_bytes)?;
        }
        request if CLONES.contains(&request) => {
            return Err(fail(errno::EOPNOTSUPP, "no file system here shares space"));
        }
        _ => return file.ops().ioctl(cx, &file, request, arg),
    }
    Ok(Outcome::OK)
}
