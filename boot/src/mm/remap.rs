//! Moving and resizing mappings (`mremap(2)`).

use std::ops::Range;

use super::mm::MmState;
use super::{Mm, Placement, Vma, VmaBacking, VmaFlags, gaps};
use crate::error::{Fail, fail};
use crate::prelude::errno;

/// Where a mapping that is resized may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// It stays where it is.
    No,
    /// Anywhere, if it can't stay (`MREMAP_MAYMOVE`).
    May,
    /// Here, in place of what is there (`MREMAP_FIXED`).
    Fixed(u64),
}

/// What becomes of the old place of a mapping that moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OldPlace {
    /// Nothing is mapped there any more.
    Unmapped,
    /// It stays, without its pages (`MREMAP_DONTUNMAP`).
    Kept,
}

impl Mm {
    /// Resizes the mapping at `old` to `new_len` bytes, and moves it. All are whole pages. Returns where it is. An empty
    /// `old` of a shared mapping makes a second mapping of the same memory.
    ///
    /// # Errors
    ///
    /// `EFAULT` if `old` is not one mapping, `ENOMEM` if there is no room or a limit is reached, `EAGAIN` if it is
    /// locked and too much is, `EINVAL` if the places overlap or the private memory can't be mapped twice, or the host's.
    pub(crate) fn remap(
        &self,
        old: Range<u64>,
        new_len: u64,
        moves: Move,
        old_place: OldPlace,
    ) -> Result<u64, Fail> {
        let mut old = old;
        if let Move::Fixed(to) = moves {
            let end = to.checked_add(new_len).ok_or(fail(errno::EINVAL, "the new range wraps"))?;
            self.state()
                .check_range(&(to..end))
                .map_err(|_| fail(errno::EINVAL, "the new range is not one of user space"))?;
            if to < old.end && old.start < end {
                return Err(fail(errno::EINVAL, "the ranges overlap"));
            }
        }
        let is_mapped = self.state().vmas().get(old.start).is_some();
        if !is_mapped {
            return Err(fail(errno::EFAULT, "nothing is mapped there"));
        }
        if old.is_empty() {
            return self.map_again(old.start, new_len, moves);
        }
        if new_len < old.end - old.start {
            self.unmap(old.start + new_len..old.end)?;
            old.end = old.start + new_len;
        }
        if new_len == old.end - old.start
            && !matches!(moves, Move::Fixed(_))
            && old_place == OldPlace::Unmapped
        {
            return Ok(old.start);
        }

        let _removed;
        let _replaced;
        let mut state = self.state();
        let vma = state.resizable(&old, new_len, old_place)?;
        state.check_split(&old)?;
        let grown = old.start..old.start.saturating_add(new_len);
        let can_stay = !matches!(moves, Move::Fixed(_))
            && old_place == OldPlace::Unmapped
            && state.check_range(&grown).is_ok()
            && gaps::is_free(state.vmas(), &(old.end..grown.end));
        let new = match moves {
            _ if can_stay => grown,
            Move::No => return Err(fail(errno::ENOMEM, "it can't grow where it is")),
            Move::May => {
                let start = state.find_gap(new_len).ok_or(fail(errno::ENOMEM, "no gap is large enough"))?;
                start..start + new_len
            }
            Move::Fixed(to) => to..to + new_len,
        };
        let pieces = self
            .remap_on_host(&state, &vma, &old, &new)
            .map_err(|errno| fail(errno, "the host does not remap it"))?;
        _removed = state.remove(old.clone());
        let start = new.start;
        _replaced = state.insert(new, vma.clone());
        for (part, piece) in pieces {
            state.set_piece(part, piece);
        }
        if old_place == OldPlace::Kept {
            let mut left = vma;
            left.flags.remove(VmaFlags::LOCKED);
            self.map_on_host(&old, &left)?;
            // Nothing is there: the old mapping was removed.
            drop(state.insert(old, left));
        }
        Ok(start)
    }

    /// Maps the memory of the shared mapping at `address` a second time.
    fn map_again(&self, address: u64, len: u64, moves: Move) -> Result<u64, Fail> {
        let vma = {
            let state = self.state();
            let found = state.vmas().get(address);
            let (range, vma) = found.ok_or(fail(errno::EFAULT, "nothing is mapped there"))?;
            vma.part(address - range.start)
        };
        if !vma.is_shared() {
            return Err(fail(errno::EINVAL, "`old_size` is zero and the memory is private"));
        }
        match moves {
            Move::No => Err(fail(errno::ENOMEM, "a second mapping must be elsewhere")),
            Move::May => self.map(Placement::Anywhere(0), len, vma),
            Move::Fixed(to) => self.map(Placement::Fixed(to), len, vma),
        }
    }
}

impl MmState {
    /// Returns the part of a mapping at `old`, if it can have `new_len` bytes.
    fn resizable(&self, old: &Range<u64>, new_len: u64, old_place: OldPlace) -> Result<Vma, Fail> {
        let found = self.vmas().get(old.start);
        let (range, vma) = found.ok_or(fail(errno::EFAULT, "nothing is mapped there"))?;
        if old.end > range.end {
            return Err(fail(errno::EFAULT, "more than one mapping"));
        }
        let old_len = old.end - old.start;
        let more = new_len - old_len;
        if more > 0 {
            let vma = vma.part(old.start - range.start);
            if let VmaBacking::Object { offset, .. } = vma.backing {
                offset.checked_add(new_len).ok_or(fail(errno::EINVAL, "behind the largest file"))?;
            }
            if vma.flags.contains(VmaFlags::LOCKED) {
                self.check_locked(more, errno::EAGAIN)?;
            }
        }
        let added = if old_place == OldPlace::Kept { new_len } else { more };
        if added > 0 {
            self.check_growth(vma, added, &(0..0))?;
        }
        Ok(vma.part(old.start - range.start))
    }
}
