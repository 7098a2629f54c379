//! Structures of system calls that may grow (`struct open_how`, `struct clone_args`).

use zerocopy::{FromBytes, IntoBytes};

use super::{Address, Size};
use crate::context::SyscallCx;
use crate::error::{Fail, fail};
use crate::prelude::errno;

/// The largest size that a caller may say its structure has.
const MAX_SIZE: usize = 4096;

/// Fills `into` from the caller's structure at `address`, which has `size` bytes: of a newer one the rest must be zero, and
/// what an older one does not have stays as it is.
///
/// # Errors
///
/// `EINVAL` if it is smaller than any version of it, `E2BIG` if there is something where this kernel knows nothing.
pub(super) fn read<T: FromBytes + IntoBytes>(
    cx: &SyscallCx<'_>,
    address: Address,
    size: Size,
    into: &mut T,
) -> Result<(), Fail> {
    let known = into.as_mut_bytes();
    if size < known.len() {
        return Err(fail(errno::EINVAL, "`size` is too small"));
    }
    if size > MAX_SIZE {
        return Err(fail(errno::E2BIG, "`size` is too large"));
    }
    let bytes: Vec<u8> = cx.memory().read_array(address, size)?;
    let (start, rest) = bytes.split_at(known.len());
    if rest.iter().any(|byte| *byte != 0) {
        return Err(fail(errno::E2BIG, "the structure has fields that are not known"));
    }
    known.copy_from_slice(start);
    Ok(())
}
