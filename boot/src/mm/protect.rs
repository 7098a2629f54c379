//! Changes of protection.

use std::ops::Range;

use cloister_platform::Protection;

use super::Mm;
use crate::error::{Fail, fail};
use crate::prelude::errno;

/// Which way the range of a protection is to be extended to a mapping's border (`mprotect(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extend {
    /// It is not.
    No,
    /// To the start of a mapping that grows down (`PROT_GROWSDOWN`).
    Down,
}

impl Mm {
    /// Sets the protection of `range`. As in Linux, what is before the first address that can't have it is changed even
    /// when the call fails.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if not all of it is mapped, `EACCES` if a file does not allow the access, `EINVAL` if it is to be
    /// extended and does not grow, or the host's.
    pub(crate) fn protect(
        &self,
        range: Range<u64>,
        protection: Protection,
        extend: Extend,
    ) -> Result<(), Fail> {
        let mut state = self.state();
        state.check_range(&range)?;
        let mut range = range;
        if extend == Extend::Down {
            let first = state.vmas().overlapping(range.clone()).next();
            let (first, vma) = first.ok_or(fail(errno::ENOMEM, "nothing is mapped there"))?;
            if !vma.grows_down() {
                return Err(fail(errno::EINVAL, "PROT_GROWSDOWN of what does not grow"));
            }
            range.start = range.start.min(first.start);
        }
        let (mut end, mut result) = (range.start, Ok(()));
        let mut changes = false;
        for (part, vma) in state.vmas().overlapping(range.clone()) {
            if part.start > end {
                break;
            }
            if !vma.max_protection.contains(protection) {
                result = Err(fail(errno::EACCES, "the file does not allow it"));
                break;
            }
            changes |= vma.protection != protection;
            end = part.end.min(range.end);
        }
        if result.is_ok() && end < range.end {
            result = Err(fail(errno::ENOMEM, "not all of it is mapped"));
        }
        if changes {
            let part = range.start..end;
            state.check_split(&part)?;
            self.space
                .protect(part.clone(), protection)
                .map_err(|errno| fail(errno, "the host does not protect it"))?;
            state.update(part, |vma| vma.protection = protection);
        }
        result
    }
}
