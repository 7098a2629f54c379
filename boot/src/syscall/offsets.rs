//! The offset arguments of the calls that move bytes between two files: pointers to an offset, or null for the file's
//! own position.

use super::Address;
use crate::context::SyscallCx;
use crate::error::{Fail, fail};
use crate::fs::{At, OpenFile};
use crate::prelude::errno;

/// Where a call reads or writes, and where the caller is told how far that came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Where the caller's offset is.
    address: Address,
    /// Where the call begins.
    at: At,
}

impl Place {
    /// Reads the caller's offset.
    ///
    /// # Errors
    ///
    /// `EFAULT`; `EINVAL` if it is negative; `ESPIPE` if there is one for a file without positions.
    pub(super) fn read(cx: &SyscallCx<'_>, address: Address, file: &OpenFile) -> Result<Self, Fail> {
        if address.is_null() {
            return Ok(Self { address, at: At::Position });
        }
        if file.ops().is_stream() {
            return Err(fail(errno::ESPIPE, "a stream has no positions"));
        }
        let raw: i64 = cx.memory().read(address)?;
        let offset = u64::try_from(raw).map_err(|_| fail(errno::EINVAL, "the offset is negative"))?;
        Ok(Self { address, at: At::Offset(offset) })
    }

    /// Returns where to go on after `done` bytes.
    pub(super) fn after(self, done: usize) -> At {
        match self.at {
            At::Position => At::Position,
            At::Offset(offset) => At::Offset(offset.saturating_add(done as u64)),
        }
    }

    /// Returns where the call begins: the offset, or the file's position.
    pub(super) fn start(self, file: &OpenFile) -> u64 {
        match self.at {
            At::Position => *file.position(),
            At::Offset(offset) => offset,
        }
    }

    /// Tells the caller where the offset is after `done` bytes.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub(super) fn write_back(self, cx: &SyscallCx<'_>, done: usize) -> Result<(), Fail> {
        match self.after(done) {
            At::Position => Ok(()),
            At::Offset(offset) => cx.memory().write(self.address, &offset),
        }
    }
}
