//! Locked memory (`mlock(2)`): the account of it. The host decides what stays in memory.

use std::ops::Range;

use super::{Mm, VmaFlags};
use crate::error::{Fail, fail};
use crate::prelude::errno;

impl Mm {
    /// Marks `range` as locked.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if not all of it is mapped or too much would be locked.
    pub(crate) fn lock_range(&self, range: Range<u64>) -> Result<(), Fail> {
        let mut state = self.state();
        let unlocked = state
            .vmas()
            .overlapping(range.clone())
            .filter(|(_, vma)| !vma.flags.contains(VmaFlags::LOCKED))
            .map(|(part, _)| part.end.min(range.end) - part.start.max(range.start))
            .sum();
        state.check_locked(unlocked, errno::ENOMEM)?;
        state.check_split(&range)?;
        let is_covered = state.vmas().covers(&range);
        state.update(range, |vma| vma.flags.insert(VmaFlags::LOCKED));
        if is_covered { Ok(()) } else { Err(fail(errno::ENOMEM, "not all of it is mapped")) }
    }

    /// Marks `range` as not locked.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if not all of it is mapped.
    pub(crate) fn unlock_range(&self, range: Range<u64>) -> Result<(), Fail> {
        let mut state = self.state();
        state.check_split(&range)?;
        let is_covered = state.vmas().covers(&range);
        state.update(range, |vma| vma.flags.remove(VmaFlags::LOCKED));
        if is_covered { Ok(()) } else { Err(fail(errno::ENOMEM, "not all of it is mapped")) }
    }

    /// Marks what is mapped as locked, what will be, or both (`mlockall(2)`).
    ///
    /// # Errors
    ///
    /// `ENOMEM` if too much would be locked.
    pub(crate) fn lock_all(&self, flags: LockAll) -> Result<(), Fail> {
        let mut state = self.state();
        if flags != LockAll::Future {
            if state.totals().all > state.limits.locked {
                return Err(fail(errno::ENOMEM, "more than RLIMIT_MEMLOCK"));
            }
            let all = state.layout.range.clone();
            state.update(all, |vma| vma.flags.insert(VmaFlags::LOCKED));
        }
        state.default_flags.set(VmaFlags::LOCKED, flags != LockAll::Current);
        Ok(())
    }

    /// Marks nothing as locked, now and in the future (`munlockall(2)`).
    pub(crate) fn unlock_all(&self) {
        let mut state = self.state();
        state.default_flags.remove(VmaFlags::LOCKED);
        let all = state.layout.range.clone();
        state.update(all, |vma| vma.flags.remove(VmaFlags::LOCKED));
    }
}

/// What `mlockall(2)` locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockAll {
    /// What is mapped.
    Current,
    /// What will be mapped.
    Future,
    /// Both.
    Both,
}
