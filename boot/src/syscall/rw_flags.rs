//! What the calls that read and write have in common: the checks of their numbers.

use super::{Int, Long, Size};
use crate::error::{Fail, fail};
use crate::fs::TransferFlags;
use crate::prelude::{errno, uapi};

/// `RWF_NOAPPEND` of `linux/fs.h`.
const RWF_NOAPPEND: u32 = 0x20;

/// Checks a number of bytes.
///
/// # Errors
///
/// `EFAULT` if no buffer can have as many: the check of the buffer comes first in Linux.
pub(super) fn check_count(count: Size) -> Result<Size, Fail> {
    if isize::try_from(count).is_ok() { Ok(count) } else { Err(fail(errno::EFAULT, "`count` is too large")) }
}

/// Checks an offset.
///
/// # Errors
///
/// `EINVAL` if it is negative.
pub(super) fn check_offset(raw_offset: Long) -> Result<u64, Fail> {
    u64::try_from(raw_offset).map_err(|_| fail(errno::EINVAL, "`offset` is negative"))
}

/// Reads `RWF_*` (`preadv2(2)`).
///
/// # Errors
///
/// `EOPNOTSUPP` for those that are not known, `EINVAL` for a contradiction.
pub(super) fn parse(raw: Int) -> Result<TransferFlags, Fail> {
    let raw = raw.cast_unsigned();
    let known = uapi::RWF_HIPRI
        | uapi::RWF_DSYNC
        | uapi::RWF_SYNC
        | uapi::RWF_NOWAIT
        | uapi::RWF_APPEND
        | RWF_NOAPPEND;
    if raw & !known != 0 {
        return Err(fail(errno::EOPNOTSUPP, "unknown `flags`"));
    }
    if raw & (uapi::RWF_APPEND | RWF_NOAPPEND) == uapi::RWF_APPEND | RWF_NOAPPEND {
        return Err(fail(errno::EINVAL, "RWF_APPEND with RWF_NOAPPEND"));
    }
    Ok(TransferFlags {
        no_wait: raw & uapi::RWF_NOWAIT != 0,
        append: raw & uapi::RWF_APPEND != 0,
        no_append: raw & RWF_NOAPPEND != 0,
        sync: raw & (uapi::RWF_SYNC | uapi::RWF_DSYNC) != 0,
    })
}
