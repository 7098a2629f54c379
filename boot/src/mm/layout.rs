//! Where things go in a new address space, as on Linux' x86-64 (`arch/x86/mm/mmap.c`, `fs/binfmt_elf.c`).
//!
//! ```text
//! range.start   program (fixed)   2/3: program (PIE), heap       mappings <── mmap_base  gap  <── stack_top   range.end
//! ```

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::PAGE_BYTES;
use crate::rand::random_u64;

/// The gap that is kept free below memory that grows down.
pub(crate) const STACK_GUARD_BYTES: u64 = 256 * PAGE_BYTES;
/// The least distance from the stack's top to the mappings.
const MIN_STACK_GAP: u64 = 128 << 20;
/// How far the stack's top can be moved: 22 bits of pages.
const MAX_STACK_SHIFT: u64 = 1 << (22 + 12);
/// How far mappings and programs can be moved: 28 bits of pages.
const MAX_MAPPING_SHIFT: u64 = 1 << (28 + 12);
/// How far the heap can be moved.
const MAX_BREAK_SHIFT: u64 = 1 << 30;

/// Whether addresses are chosen at random (`personality(2)`, `ADDR_NO_RANDOMIZE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Randomization {
    /// They are.
    On,
    /// They are the same in every run.
    Off,
}

/// Where things go in an address space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layout {
    /// All addresses that the guest can use.
    pub(crate) range: Range<u64>,
    /// Mappings whose place is free to choose go below this.
    pub(crate) mmap_base: u64,
    /// The end of the first thread's stack.
    pub(crate) stack_top: u64,
    /// Where a position-independent program goes.
    pub(crate) program_base: u64,
    /// How far behind the program the heap begins.
    pub(crate) break_shift: u64,
}

impl Layout {
    /// Chooses places in `range` for a program whose stack may grow to `stack_limit` bytes.
    pub(crate) fn choose(range: Range<u64>, stack_limit: u64, randomization: Randomization) -> Self {
        let random = match randomization {
            Randomization::On => [(); 4].map(|()| random_u64()),
            Randomization::Off => [0; 4],
        };
        Self::from_random(range, stack_limit, random)
    }

    fn from_random(range: Range<u64>, stack_limit: u64, random: [u64; 4]) -> Self {
        let [stack, mapping, program, heap] = random;
        let size = range.end.saturating_sub(range.start);
        let gap = stack_limit
            .saturating_add(MAX_STACK_SHIFT + STACK_GUARD_BYTES)
            .clamp(MIN_STACK_GAP, size / 6 * 5);
        Self {
            mmap_base: page_down(range.end.saturating_sub(gap).saturating_sub(mapping % MAX_MAPPING_SHIFT)),
            stack_top: page_down(range.end.saturating_sub(stack % MAX_STACK_SHIFT)),
            program_base: page_down(range.end / 3 * 2 + program % MAX_MAPPING_SHIFT),
            break_shift: page_down(heap % MAX_BREAK_SHIFT),
            range,
        }
    }
}

/// Returns the start of the page that holds `address`.
pub(crate) const fn page_down(address: u64) -> u64 {
    address & !(PAGE_BYTES - 1)
}

/// Returns the first start of a page at or behind `address`; `None` behind the last page.
pub(crate) fn page_up(address: u64) -> Option<u64> {
    address.checked_next_multiple_of(PAGE_BYTES)
}

/// Returns whether `address` is the start of a page.
pub(crate) const fn is_page(address: u64) -> bool {
    address.is_multiple_of(PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn places_are_in_order_and_whole_pages(random in any::<[u64; 4]>(), stack_limit in any::<u64>()) {
            let range = 0x1_0000..0x7fff_0000_0000_u64;
            let layout = Layout::from_random(range.clone(), stack_limit, random);
            for place in [layout.mmap_base, layout.stack_top, layout.program_base, layout.break_shift] {
                prop_assert!(is_page(place));
            }
            prop_assert!(layout.stack_top <= range.end && layout.mmap_base < layout.stack_top);
            prop_assert!(layout.stack_top - layout.mmap_base >= MIN_STACK_GAP);
            prop_assert!(layout.mmap_base > range.end / 8, "{layout:?}");
            prop_assert!(layout.program_base < range.end);
        }
    }
}
