//! What tells futexes apart.

use std::sync::Arc;

use crate::error::{Fail, fail};
use crate::mm::{Mm, ObjectKey};
use crate::prelude::errno;

/// Who may use a futex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// The tasks of one address space (`FUTEX_PRIVATE_FLAG`).
    Private,
    /// All who share the memory.
    Shared,
}

/// What tells a futex from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FutexKey {
    /// A word of private memory.
    Private {
        /// The address of the [`Mm`], which its waiters keep alive.
        mm: usize,
        /// The address of the word.
        address: u64,
    },
    /// A word of shared memory.
    Shared {
        /// The memory.
        object: ObjectKey,
        /// Where the word is in it.
        offset: u64,
    },
}

impl FutexKey {
    /// Returns the key of the word at `address`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the address is not aligned, `EFAULT` if it is no address of the guest's; or, for a shared futex, if
    /// nothing is mapped there.
    pub(crate) fn new(mm: &Arc<Mm>, address: u64, sharing: Sharing) -> Result<Self, Fail> {
        if !address.is_multiple_of(4) {
            return Err(fail(errno::EINVAL, "the word is not aligned"));
        }
        if !mm.space().range().contains(&address) {
            // The first page, say: the guest can't have it.
            return Err(fail(errno::EFAULT, "not an address of user space"));
        }
        let private = Self::Private { mm: Arc::as_ptr(mm).addr(), address };
        if sharing == Sharing::Private {
            return Ok(private);
        }
        let (range, vma) = mm.find(address).ok_or(fail(errno::EFAULT, "nothing is mapped there"))?;
        Ok(match vma.object() {
            Some((object, offset)) if vma.is_shared() => {
                Self::Shared { object: object.key(), offset: offset.wrapping_add(address - range.start) }
            }
            _ => private,
        })
    }
}
