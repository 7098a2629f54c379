//! The program break (`brk(2)`).

use cloister_platform::Protection;

use super::layout::page_up;
use super::{Mm, Vma, VmaFlags, gaps};

impl Mm {
    /// Says where the heap begins, which is empty. The loader calls this once.
    pub(crate) fn set_heap_start(&self, start: u64) {
        self.state().heap = start..start;
    }

    /// Moves the break to `to`, and returns where it is then: where it was, if that can't be.
    pub(crate) fn set_break(&self, to: u64) -> u64 {
        let _removed;
        let mut state = self.state();
        let (start, now) = (state.heap.start, state.heap.end);
        let (Some(old_end), Some(new_end)) = (page_up(now), page_up(to)) else { return now };
        if to < start || to == now {
            return now;
        }
        let data = state.program.data.end.saturating_sub(state.program.data.start);
        if (to - start).saturating_add(data) > state.limits.data {
            return now;
        }
        if new_end < old_end {
            if self.space.unmap(new_end..old_end).is_err() {
                return now;
            }
            _removed = state.remove(new_end..old_end);
        } else if new_end > old_end {
            let vma = Vma::anonymous(Protection::READ | Protection::WRITE, state.default_flags);
            let (range, len) = (old_end..new_end, new_end - old_end);
            let is_possible = state.check_range(&range).is_ok()
                && gaps::is_free(state.vmas(), &range)
                && state.check_growth(&vma, len, &(0..0)).is_ok()
                && (!vma.flags.contains(VmaFlags::LOCKED)
                    || state.check_locked(len, crate::prelude::errno::EAGAIN).is_ok())
                && self.map_on_host(&range, &vma).is_ok();
            if !is_possible {
                return now;
            }
            _removed = state.insert(range, vma);
        }
        state.heap.end = to;
        to
    }
}
