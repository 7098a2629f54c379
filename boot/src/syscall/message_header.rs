//! `struct msghdr` and `struct mmsghdr`: messages in guest memory.

use std::mem::offset_of;

use smallvec::SmallVec;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::Address;
use crate::error::{Fail, fail};
use crate::mm::UserRange;
use crate::prelude::{SyscallCx, errno};

/// `struct msghdr`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct MessageHeader {
    /// Where the address is, or goes.
    pub(super) name: u64,
    /// Its length, or the room for it.
    pub(super) name_len: u32,
    _padding: u32,
    /// Where the buffers are described.
    pub(super) buffers: u64,
    /// How many buffers there are.
    pub(super) buffer_count: u64,
    /// Where the control messages are, or go.
    pub(super) control: u64,
    /// Their length, or the room for them.
    pub(super) control_len: u64,
    /// What happened to a message that was received.
    pub(super) flags: u32,
    _more_padding: u32,
}

/// The most messages that one call moves.
pub(super) const MAX_MESSAGES: u32 = 1024;

/// The size of `struct mmsghdr`.
const MULTI_BYTES: u64 = 64;

/// The longest address.
const MAX_NAME: u32 = 128;

impl MessageHeader {
    /// Reads the header at `address`.
    pub(super) fn read(cx: &SyscallCx<'_>, address: Address) -> Result<Self, Fail> {
        let mut header: Self = cx.memory().read(address)?;
        if header.name_len.cast_signed() < 0 {
            return Err(fail(errno::EINVAL, "`msg_namelen` is negative"));
        }
        header.name_len = if header.name == 0 { 0 } else { header.name_len.min(MAX_NAME) };
        Ok(header)
    }

    /// Reads the description of the buffers.
    pub(super) fn ranges(&self, cx: &SyscallCx<'_>) -> Result<SmallVec<[UserRange; 4]>, Fail> {
        let count = usize::try_from(self.buffer_count).unwrap_or(usize::MAX);
        let ranges = cx.memory().read_iovec(Address(self.buffers), count);
        // For messages Linux has another error than for other vectors.
        ranges.map_err(
            |failure| {
                if count > 1024 { fail(errno::EMSGSIZE, "too many buffers") } else { failure }
            },
        )
    }

    /// Writes what a receive has changed of the header back to `address`.
    pub(super) fn write_back(&self, cx: &SyscallCx<'_>, address: Address) -> Result<(), Fail> {
        let field = |offset: usize| Address(address.0.wrapping_add(offset as u64));
        cx.memory().write(field(offset_of!(Self, name_len)), &self.name_len)?;
        cx.memory().write(field(offset_of!(Self, control_len)), &self.control_len)?;
        cx.memory().write(field(offset_of!(Self, flags)), &self.flags)
    }
}

/// Returns where the header of the `at`-th of several messages is.
pub(super) fn header_at(messages: Address, at: usize) -> Address {
    Address(messages.0.wrapping_add((at as u64).wrapping_mul(MULTI_BYTES)))
}

/// Writes how many bytes the message whose header is at `header` had.
pub(super) fn write_message_len(cx: &SyscallCx<'_>, header: Address, len: usize) -> Result<(), Fail> {
    let field = Address(header.0.wrapping_add(size_of::<MessageHeader>() as u64));
    cx.memory().write(field, &u32::try_from(len).unwrap_or(u32::MAX))
}
