//! The choice of addresses: the highest gap below the base that is large enough, as in Linux.

use std::ops::Range;

use cloister_collections::SegmentMap;

use super::Vma;
use super::layout::{Layout, STACK_GUARD_BYTES};

/// The address space below which `MAP_32BIT` mappings go, and where they begin.
const LOW_RANGE: Range<u64> = 0x4000_0000..0x8000_0000;

/// What is known of the gaps, so that the search need not begin at the top each time: none between `searched` and the
/// base has more than `largest` bytes.
#[derive(Clone, Debug)]
pub(super) struct GapCache {
    searched: u64,
    largest: u64,
}

impl GapCache {
    pub(super) fn new(layout: &Layout) -> Self {
        Self { searched: layout.mmap_base, largest: 0 }
    }

    /// Returns the start of the highest free range of `len` bytes below the base; failing that, of the lowest above.
    pub(super) fn find(&mut self, vmas: &SegmentMap<Vma>, layout: &Layout, len: u64) -> Option<u64> {
        if len <= self.largest {
            *self = Self::new(layout);
        }
        let (mut end, mut largest) = (self.searched, self.largest);
        loop {
            let gap = gap_below(vmas, layout.range.start, end);
            let gap_len = gap.end - gap.start;
            if gap_len >= len {
                // What is left of the gap stays in front of the search.
                *self = Self { searched: gap.end, largest };
                return Some(gap.end - len);
            }
            largest = largest.max(gap_len);
            match vmas.below(gap.start).next() {
                Some((vma, _)) if gap.start > layout.range.start => end = vma.start,
                _ => break,
            }
        }
        *self = Self { searched: layout.range.start, largest };
        find_up(vmas, layout.mmap_base..layout.range.end, len)
    }

    /// Takes note that `range` is free now.
    pub(super) fn freed(&mut self, vmas: &SegmentMap<Vma>, layout: &Layout, range: &Range<u64>) {
        let next = vmas.above(range.start).next().map_or(layout.range.end, |(vma, _)| vma.start);
        let gap = gap_below(vmas, layout.range.start, next.min(layout.mmap_base));
        if gap.end >= self.searched {
            self.largest = self.largest.max(gap.end - gap.start);
        }
    }
}

/// Returns the free range that ends at `end`, or below it if it is in a mapping or kept free for one that grows. The
/// range may be empty.
fn gap_below(vmas: &SegmentMap<Vma>, lowest: u64, end: u64) -> Range<u64> {
    let mut end = end;
    if let Some((vma, value)) = vmas.above(end).next() {
        end = end.min(start_gap(&vma, value));
    }
    let below = vmas.below(end).next();
    let start = below.map_or(lowest, |(vma, _)| vma.end.max(lowest));
    // A mapping that holds `end`, or one in the gap that is kept free.
    let end = end.max(start);
    start..end
}

/// Returns where the addresses begin that belong to a mapping, the gap included that is kept free for it.
fn start_gap(range: &Range<u64>, vma: &Vma) -> u64 {
    if vma.grows_down() { range.start.saturating_sub(STACK_GUARD_BYTES) } else { range.start }
}

/// Returns the start of the lowest free range of `len` bytes in `within`.
fn find_up(vmas: &SegmentMap<Vma>, within: Range<u64>, len: u64) -> Option<u64> {
    let mut start = within.start;
    for (range, vma) in vmas.above(within.start) {
        if start.checked_add(len)? <= start_gap(&range, vma) {
            break;
        }
        start = start.max(range.end);
    }
    (start.checked_add(len)? <= within.end).then_some(start)
}

/// Returns the start of the lowest free range of `len` bytes below 2 GiB (`MAP_32BIT`).
pub(super) fn find_low(vmas: &SegmentMap<Vma>, len: u64) -> Option<u64> {
    find_up(vmas, LOW_RANGE, len)
}

/// Returns whether nothing is mapped in `range`, and nothing that grows comes too near.
pub(super) fn is_free(vmas: &SegmentMap<Vma>, range: &Range<u64>) -> bool {
    vmas.above(range.start).next().is_none_or(|(next, vma)| range.end <= start_gap(&next, vma))
}

#[cfg(test)]
mod tests {
    use cloister_platform::Protection;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::mm::{PAGE_BYTES, VmaFlags};

    /// How many pages there are: as many as `free` has.
    const PAGES: u64 = 64;

    fn layout() -> Layout {
        let end = (16 + PAGES) * PAGE_BYTES;
        let range = 16 * PAGE_BYTES..end;
        Layout { mmap_base: end, stack_top: end, program_base: 0, break_shift: 0, range }
    }

    /// Returns the start of the highest run of `pages` free pages.
    fn highest(free: &[bool], pages: usize) -> Option<usize> {
        (0..=free.len() - pages).rev().find(|start| free[*start..*start + pages].iter().all(|free| *free))
    }

    proptest! {
        #[test]
        fn the_highest_gap_is_found(steps in vec((any::<bool>(), 1..12_u64, 0..PAGES), 1..60)) {
            let layout = layout();
            let (mut vmas, mut cache) = (SegmentMap::default(), GapCache::new(&layout));
            let mut free = [true; 64];
            for (maps, pages, at) in steps {
                if maps {
                    let found = cache.find(&vmas, &layout, pages * PAGE_BYTES);
                    let expected = highest(&free, usize::try_from(pages).unwrap());
                    prop_assert_eq!(found.map(|at| (at - layout.range.start) / PAGE_BYTES), expected.map(|at| at as u64));
                    let Some(start) = found else { continue };
                    let vma = Vma::anonymous(Protection::READ, VmaFlags::empty());
                    vmas.insert(start..start + pages * PAGE_BYTES, vma);
                    free[expected.unwrap()..][..usize::try_from(pages).unwrap()].fill(false);
                } else {
                    let start = layout.range.start + at * PAGE_BYTES;
                    let range = start..(start + pages * PAGE_BYTES).min(layout.range.end);
                    vmas.remove(range.clone());
                    cache.freed(&vmas, &layout, &range);
                    let end = usize::try_from((at + pages).min(PAGES)).unwrap();
                    free[usize::try_from(at).unwrap()..end].fill(true);
                }
            }
        }
    }

    #[test]
    fn the_gap_below_a_stack_is_kept() {
        let mut vmas = SegmentMap::default();
        let stack = 0x1000_0000..0x1000_1000;
        vmas.insert(stack.clone(), Vma::anonymous(Protection::READ, VmaFlags::GROWS_DOWN));
        let layout = Layout {
            range: 0x10_0000..0x2000_0000,
            mmap_base: stack.start,
            stack_top: stack.end,
            program_base: 0,
            break_shift: 0,
        };
        let found = GapCache::new(&layout).find(&vmas, &layout, PAGE_BYTES);
        assert_eq!(found, Some(stack.start - STACK_GUARD_BYTES - PAGE_BYTES));
        assert!(!is_free(&vmas, &(stack.start - PAGE_BYTES..stack.start)));
        assert!(is_free(&vmas, &(stack.end..stack.end + PAGE_BYTES)));
    }
}
