//! `lseek(2)`.

use super::{Fd, Long, UInt};
use crate::error::{SyscallResult, fail};
use crate::fs::Whence;
use crate::prelude::{SyscallCx, errno, uapi};

/// Handles `lseek(fd, offset, whence)`.
pub(super) fn sys_lseek(cx: &mut SyscallCx<'_>, fd: Fd, offset: Long, whence: UInt) -> SyscallResult {
    let file = cx.file(fd)?;
    if file.ops().is_stream() {
        return Err(fail(errno::ESPIPE, "a stream has no positions"));
    }
    let mut position = file.position();
    let start = match whence {
        uapi::SEEK_SET => 0,
        uapi::SEEK_CUR => *position,
        uapi::SEEK_END => file.size()?,
        uapi::SEEK_DATA | uapi::SEEK_HOLE => {
            let whence = if whence == uapi::SEEK_DATA { Whence::Data } else { Whence::Hole };
            let offset = u64::try_from(offset).map_err(|_| fail(errno::ENXIO, "`offset` is negative"))?;
            *position = file.ops().seek(offset, whence, file.size()?)?;
            return Ok((*position).into());
        }
        _ => return Err(fail(errno::EINVAL, "unknown `whence`")),
    };
    let to = start.checked_add_signed(offset).ok_or(fail(errno::EINVAL, "before the start"))?;
    if i64::try_from(to).is_err() {
        return Err(fail(if whence == uapi::SEEK_SET { errno::EINVAL } else { errno::EOVERFLOW }, "too far"));
    }
    *position = to;
    Ok(to.into())
}
