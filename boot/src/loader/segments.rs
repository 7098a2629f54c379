//! An ELF file's segments in memory.

use std::ops::Range;
use std::sync::Arc;

use cloister_elf::{Access, Elf, Segment};
use cloister_platform::Protection;

use crate::error::{Fail, fail};
use crate::mm::{MemoryObject, Mm, Vma, VmaBacking, VmaFlags};
use crate::prelude::errno;

/// Where an ELF file was mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    /// What was added to the addresses of the file.
    pub(super) bias: u64,
}

impl Placed {
    /// Returns where an address of the file is.
    pub(super) fn address(self, of_file: u64) -> u64 {
        of_file.wrapping_add(self.bias)
    }

    /// Returns where a range of the file's addresses is.
    fn range(self, of_file: &Range<u64>) -> Range<u64> {
        self.address(of_file.start)..self.address(of_file.end)
    }
}

/// Returns the lowest address at or above `base` at which the file can be loaded, which is as aligned as it wants.
///
/// # Errors
///
/// `ENOMEM` if it does not fit.
pub(super) fn place_at(elf: &Elf, base: u64) -> Result<Placed, Fail> {
    let start = base
        .checked_next_multiple_of(elf.alignment)
        .and_then(|base| base.checked_add(elf.range.start % elf.alignment));
    let start = start.filter(|start| start.checked_add(elf.range.end - elf.range.start).is_some());
    let start = start.ok_or(fail(errno::ENOMEM, "the program does not fit"))?;
    Ok(Placed { bias: start.wrapping_sub(elf.range.start) })
}

/// Plans the segments: each is one mapping of the file, and one of zeros where it is longer in memory.
///
/// # Errors
///
/// `ENOMEM` if an address is not the guest's.
pub(super) fn plan(mm: &Mm, elf: &Elf, placed: Placed, object: &Arc<MemoryObject>) -> Result<(), Fail> {
    for segment in &elf.segments {
        let protection = protection(segment.access);
        if let Some(pages) = segment.file_pages() {
            let mut vma = Vma::anonymous(protection, VmaFlags::empty());
            vma.backing = VmaBacking::Object { object: Arc::clone(object), offset: pages.offset };
            mm.plan(placed.range(&pages.range), vma)?;
        }
        if let Some(zeros) = segment.zero_pages() {
            mm.plan(placed.range(&zeros), Vma::anonymous(protection, VmaFlags::empty()))?;
        }
    }
    Ok(())
}

/// Clears what is in the last page of a segment's file behind the segment, when all is mapped.
///
/// # Errors
///
/// `EFAULT` if that can't be written.
pub(super) fn clear_ends(mm: &Mm, elf: &Elf, placed: Placed) -> Result<(), Fail> {
    for (index, segment) in elf.segments.iter().enumerate() {
        let Some(cleared) = segment.cleared() else { continue };
        // As in Linux, what a later segment has there stays.
        let mut later = elf.segments.iter().skip(index + 1);
        if later.any(|later| is_mapped_by(later, cleared.start)) {
            continue;
        }
        let cleared = placed.range(&cleared);
        let zeros = [0_u8; 4096];
        let len = usize::try_from(cleared.end - cleared.start).unwrap_or(zeros.len());
        let zeros = zeros.get(..len).unwrap_or(&zeros);
        if mm.write(cleared.start, zeros) < zeros.len() {
            return Err(fail(errno::EFAULT, "the end of a segment can't be cleared"));
        }
    }
    Ok(())
}

/// Returns whether `segment` has the page of an address of the file.
fn is_mapped_by(segment: &Segment, of_file: u64) -> bool {
    let pages = segment.file_pages().map(|pages| pages.range);
    pages.into_iter().chain(segment.zero_pages()).any(|range| range.contains(&of_file))
}

fn protection(access: Access) -> Protection {
    Protection::from_bits_truncate(access.bits())
}

/// Returns where code and initialised data are, as `/proc/PID/stat` tells.
pub(super) fn code_and_data(elf: &Elf, placed: Placed) -> (Range<u64>, Range<u64>) {
    let bytes =
        |segment: &Segment| segment.range.start..segment.range.start.saturating_add(segment.file_bytes);
    let mut code: Option<Range<u64>> = None;
    let mut data: Option<Range<u64>> = None;
    for segment in &elf.segments {
        let range = placed.range(&bytes(segment));
        if segment.access.contains(Access::EXECUTE) {
            let start = code.as_ref().map_or(range.start, |code| code.start.min(range.start));
            let end = code.as_ref().map_or(range.end, |code| code.end.max(range.end));
            code = Some(start..end);
        }
        // The last segment, in the order of addresses, is the data.
        if data.as_ref().is_none_or(|data| range.start >= data.start) {
            data = Some(range);
        }
    }
    (code.unwrap_or(0..0), data.unwrap_or(0..0))
}
