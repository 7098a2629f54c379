//! Advice (`madvise(2)`), and what else goes over the mappings of a range.

use std::ops::Range;

use super::mm::MmState;
use super::{Mm, Vma, VmaFlags, VmaName};
use crate::error::{Errno, Fail, fail};
use crate::prelude::errno;

/// What advice changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Flags of the mappings: those to set and those to clear. With the host's advice, if the host is to know.
    Flags {
        /// To set.
        set: VmaFlags,
        /// To clear.
        clear: VmaFlags,
        /// The advice to give to the host.
        host: Option<i32>,
    },
    /// The host's pages only.
    Pages {
        /// The advice to give to the host.
        host: i32,
        /// What mappings must be for it.
        only: Only,
    },
    /// Nothing.
    Nothing,
}

/// Which mappings advice can be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Only {
    /// Any.
    Any,
    /// Those that are not locked.
    Unlocked,
    /// Private anonymous ones.
    Anonymous,
    /// Shared ones that can be written, not locked.
    SharedWritable,
}

impl Only {
    fn check(self, vma: &Vma) -> Result<(), Fail> {
        let is_locked = vma.flags.contains(VmaFlags::LOCKED);
        match self {
            Self::Unlocked | Self::SharedWritable if is_locked => Err(fail(errno::EINVAL, "locked memory")),
            Self::Anonymous if vma.object().is_some() => Err(fail(errno::EINVAL, "not anonymous memory")),
            Self::SharedWritable if vma.object().is_none() => Err(fail(errno::EINVAL, "not a file")),
            Self::SharedWritable
                if !vma.is_shared() || !vma.max_protection.contains(cloister_platform::Protection::WRITE) =>
            {
                Err(fail(errno::EACCES, "not a shared mapping that can be written"))
            }
            _ => Ok(()),
        }
    }
}

impl Mm {
    /// Gives advice about `range`. What is mapped gets it even if not all is.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if not all of it is mapped, `EINVAL` and `EACCES` as [`Only`] says, or the host's.
    pub(crate) fn advise(&self, range: Range<u64>, advice: Advice) -> Result<(), Fail> {
        let mut state = self.state();
        state.check_range(&range)?;
        let is_covered = state.vmas().covers(&range);
        let parts: Vec<Range<u64>> = state.vmas().overlapping(range.clone()).map(|(part, _)| part).collect();
        let (host, only) = match advice {
            Advice::Flags { host, .. } => (host, Only::Any),
            Advice::Pages { host, only } => (Some(host), only),
            Advice::Nothing => (None, Only::Any),
        };
        for (_, vma) in state.vmas().overlapping(range.clone()) {
            only.check(vma)?;
            if advice_wipes(&advice) && (vma.object().is_some() || vma.is_shared()) {
                return Err(fail(errno::EINVAL, "only private anonymous memory can be wiped"));
            }
        }
        if let Advice::Flags { .. } = advice {
            state.check_split(&range)?;
        }
        if let Some(host) = host {
            // One call where there is no gap.
            let parts = if is_covered { vec![range.clone()] } else { parts };
            for part in parts {
                let part = part.start.max(range.start)..part.end.min(range.end);
                self.advise_host(&mut state, part, host)
                    .map_err(|errno| fail(errno, "the host does not take the advice"))?;
            }
        }
        if let Advice::Flags { set, clear, .. } = advice {
            state.update(range, |vma| {
                vma.flags.remove(clear);
                vma.flags.insert(set);
            });
        }
        if is_covered { Ok(()) } else { Err(fail(errno::ENOMEM, "not all of it is mapped")) }
    }

    /// Gives the host advice about a part of mappings.
    fn advise_host(&self, state: &mut MmState, range: Range<u64>, advice: i32) -> Result<(), Errno> {
        match advice {
            libc::MADV_DONTNEED | libc::MADV_DONTNEED_LOCKED | libc::MADV_FREE => {
                self.drop_saved(state, &range)?;
            }
            libc::MADV_WIPEONFORK => self.take_saved(state, &range)?,
            _ => {}
        }
        self.space.advise(range, advice)
    }

    /// Names the private anonymous memory in `range` (`prctl(2)`, `PR_SET_VMA_ANON_NAME`).
    ///
    /// # Errors
    ///
    /// `ENOMEM` if not all of it is mapped, `EBADF` if a part shows a file.
    pub(crate) fn set_name(&self, range: Range<u64>, name: &VmaName) -> Result<(), Fail> {
        let mut state = self.state();
        if state.vmas().overlapping(range.clone()).any(|(_, vma)| vma.object().is_some()) {
            return Err(fail(errno::EBADF, "not anonymous memory"));
        }
        let is_covered = state.vmas().covers(&range);
        state.check_split(&range)?;
        state.update(range, |vma| vma.name = name.clone());
        if is_covered { Ok(()) } else { Err(fail(errno::ENOMEM, "not all of it is mapped")) }
    }

    /// Returns whether all of `range` is mapped.
    pub(crate) fn covers(&self, range: &Range<u64>) -> bool {
        let state = self.state();
        state.check_range(range).is_ok() && state.vmas().covers(range)
    }

    /// Returns copies of the mappings that have a part of `range`, and whether they are all of it.
    pub(crate) fn overlapping(&self, range: &Range<u64>) -> (Vec<(Range<u64>, Vma)>, bool) {
        let state = self.state();
        let parts = state.vmas().overlapping(range.clone());
        (parts.map(|(part, vma)| (part, vma.clone())).collect(), state.vmas().covers(range))
    }
}

fn advice_wipes(advice: &Advice) -> bool {
    matches!(advice, Advice::Flags { set, .. } if set.contains(VmaFlags::WIPE_ON_FORK))
}
