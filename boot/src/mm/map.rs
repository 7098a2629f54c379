//! New mappings.

use std::ops::Range;

use cloister_platform::{Mapping, Protection};

use super::gaps;
use super::layout::{is_page, page_down, page_up};
use super::mm::MmState;
use super::{Mm, Vma, VmaFlags};
use crate::error::{Fail, fail};
use crate::prelude::errno;

/// Where a mapping is to go (`mmap(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Anywhere, best at the hint; 0 for none.
    Anywhere(u64),
    /// Anywhere below 2 GiB (`MAP_32BIT`), best at the hint.
    Low(u64),
    /// Here, in place of what is there (`MAP_FIXED`).
    Fixed(u64),
    /// Here, if nothing is there (`MAP_FIXED_NOREPLACE`).
    FixedNoReplace(u64),
}

impl Mm {
    /// Maps `len` bytes, which are whole pages, and returns where.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a fixed address is no page, `ENOMEM` if there is no room or a limit is reached, `EEXIST` if
    /// something is in the way, `EAGAIN` if it was to be locked and too much is, or the host's.
    pub(crate) fn map(&self, placement: Placement, len: u64, vma: Vma) -> Result<u64, Fail> {
        // Dropped last: without the lock.
        let _replaced;
        let mut state = self.state();
        let mut vma = vma;
        vma.flags |= state.default_flags;
        let range = state.place(placement, len)?;
        let replaced = if matches!(placement, Placement::Fixed(_)) { range.clone() } else { 0..0 };
        state.check_growth(&vma, len, &replaced)?;
        if vma.flags.contains(VmaFlags::LOCKED) {
            state.check_locked(len, errno::EAGAIN)?;
        }
        self.map_on_host(&range, &vma)?;
        _replaced = state.insert(range.clone(), vma);
        Ok(range.start)
    }

    /// Has the host map `range`.
    pub(super) fn map_on_host(&self, range: &Range<u64>, vma: &Vma) -> Result<(), Fail> {
        self.space
            .map(range.clone(), vma.protection, vma.host_backing(0))
            .map_err(|errno| fail(errno, "the host does not map it"))
    }

    /// Enters `vma` at `range` for the kernel itself: the program loader, which finds an empty address space, and then has
    /// [all mapped](Mm::map_planned). No limit is looked at.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if the range is not the guest's.
    pub(crate) fn plan(&self, range: Range<u64>, vma: Vma) -> Result<(), Fail> {
        let _replaced;
        let mut state = self.state();
        state.check_range(&range)?;
        _replaced = state.insert(range, vma);
        Ok(())
    }

    /// Has the host map all that was planned, of which it has mapped nothing yet.
    ///
    /// # Errors
    ///
    /// The host's; the address space is of no use then.
    pub(crate) fn map_planned(&self) -> Result<(), Fail> {
        let state = self.state();
        let mappings: Vec<_> = state
            .vmas()
            .iter()
            .map(|(range, vma)| Mapping { range, protection: vma.protection, backing: vma.host_backing(0) })
            .collect();
        self.space.map_all(&mappings).map_err(|errno| fail(errno, "the host does not map the program"))
    }

    /// Returns where a new mapping of `len` bytes would go, for the program loader.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if there is no room.
    pub(crate) fn find_gap(&self, len: u64) -> Result<u64, Fail> {
        let len = page_up(len).ok_or(fail(errno::ENOMEM, "too large"))?;
        self.state().find_gap(len).ok_or(fail(errno::ENOMEM, "no gap is large enough"))
    }

    /// Touches the pages of `range`, so that no page fault is left to happen (`MAP_POPULATE`, `mlock(2)`). Failures are no
    /// matter: the pages are then touched when they are used.
    pub(crate) fn populate(&self, range: Range<u64>) {
        let parts: Vec<(Range<u64>, i32)> = {
            let state = self.state();
            let parts = state.vmas().overlapping(range.clone());
            parts.filter_map(|(part, vma)| Some((part, populate_advice(vma)?))).collect()
        };
        for (part, advice) in parts {
            let part = part.start.max(range.start)..part.end.min(range.end);
            let _ = self.space.advise(part, advice);
        }
    }
}

/// Returns the advice by which the host touches the pages of a mapping as its program would.
fn populate_advice(vma: &Vma) -> Option<i32> {
    if vma.protection.contains(Protection::WRITE) && !vma.is_shared() {
        Some(libc::MADV_POPULATE_WRITE)
    } else if vma.protection.contains(Protection::READ) {
        Some(libc::MADV_POPULATE_READ)
    } else {
        None
    }
}

impl MmState {
    /// Chooses the place of a new mapping.
    fn place(&mut self, placement: Placement, len: u64) -> Result<Range<u64>, Fail> {
        let no_room = || fail(errno::ENOMEM, "no gap is large enough");
        if len > self.layout.range.end - self.layout.range.start {
            return Err(no_room());
        }
        match placement {
            Placement::Fixed(address) => self.fixed(address, len),
            Placement::FixedNoReplace(address) => {
                let range = self.fixed(address, len)?;
                match self.vmas().overlapping(range.clone()).next() {
                    Some(_) => Err(fail(errno::EEXIST, "something is mapped there")),
                    None => Ok(range),
                }
            }
            Placement::Anywhere(hint) => {
                if let Some(range) = self.free_at(hint, len) {
                    return Ok(range);
                }
                let start = self.find_gap(len).ok_or_else(no_room)?;
                Ok(start..start + len)
            }
            Placement::Low(hint) => {
                if let Some(range) = self.free_at(hint, len).filter(|range| range.end <= 1 << 31) {
                    return Ok(range);
                }
                let start = gaps::find_low(self.vmas(), len).ok_or_else(no_room)?;
                Ok(start..start + len)
            }
        }
    }

    fn fixed(&self, address: u64, len: u64) -> Result<Range<u64>, Fail> {
        if !is_page(address) {
            return Err(fail(errno::EINVAL, "`addr` is not a page's"));
        }
        if address < self.layout.range.start {
            return Err(fail(errno::EPERM, "`addr` is below vm.mmap_min_addr"));
        }
        let end = address.checked_add(len).ok_or(fail(errno::ENOMEM, "the range wraps"))?;
        let range = address..end;
        self.check_range(&range)?;
        Ok(range)
    }

    /// Returns the range at a hint, if it is free.
    fn free_at(&self, hint: u64, len: u64) -> Option<Range<u64>> {
        let start = page_down(hint);
        let range = start..start.checked_add(len)?;
        (start != 0 && self.check_range(&range).is_ok() && gaps::is_free(self.vmas(), &range))
            .then_some(range)
    }

    /// Checks that `range` is the guest's.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if not.
    pub(super) fn check_range(&self, range: &Range<u64>) -> Result<(), Fail> {
        let allowed = &self.layout.range;
        if allowed.start <= range.start && range.start < range.end && range.end <= allowed.end {
            Ok(())
        } else {
            Err(fail(errno::ENOMEM, "not an address of user space"))
        }
    }
}
