//! Which pages of a process are its own (`PAGEMAP_SCAN`, `Documentation/admin-guide/mm/pagemap.rst`).
//!
//! The descriptor, of the file `pagemap` of a process, is opened by who may look into that process; here it is only asked.

#![expect(unsafe_code, reason = "the request has a pointer to the results")]

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};

/// `_IOWR('f', 16, struct pm_scan_arg)`.
const PAGEMAP_SCAN: libc::Ioctl = 0xc060_6610;

/// The page shows a file, or memory that others share.
const PAGE_IS_FILE: u64 = 1 << 2;
/// The page is in memory.
const PAGE_IS_PRESENT: u64 = 1 << 3;
/// The page was swapped out.
const PAGE_IS_SWAPPED: u64 = 1 << 4;
/// The page is the one of zeros that all share.
const PAGE_IS_PFNZERO: u64 = 1 << 5;

/// How many runs of pages are asked for at once.
const MAX_REGIONS: usize = 512;

/// `struct pm_scan_arg`.
#[derive(Debug)]
#[repr(C)]
struct Arguments {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `struct page_region`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

/// Returns the runs of pages in `range` that are the process' own: of anonymous memory those that were written, of a
/// private mapping of a file those that were copied. `pagemap` is the file of that name of the process.
///
/// # Errors
///
/// `ENOTTY` if the host is older than Linux 6.7, and those of the host.
pub fn private_pages(pagemap: impl AsFd, range: Range<u64>) -> io::Result<Vec<Range<u64>>> {
    let mut found: Vec<Range<u64>> = Vec::new();
    let mut regions = [Region::default(); MAX_REGIONS];
    let mut start = range.start;
    while start < range.end {
        let mut arguments = Arguments {
            size: size_of::<Arguments>() as u64,
            flags: 0,
            start,
            end: range.end,
            walk_end: 0,
            vec: regions.as_mut_ptr().addr() as u64,
            vec_len: MAX_REGIONS as u64,
            max_pages: 0,
            category_inverted: PAGE_IS_FILE | PAGE_IS_PFNZERO,
            category_mask: PAGE_IS_FILE | PAGE_IS_PFNZERO,
            category_anyof_mask: PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
            return_mask: PAGE_IS_PRESENT,
        };
        // SAFETY: the host writes to `arguments`, and at most `vec_len` regions to `vec`, which is that long and is used by
        // nobody else.
        let result = unsafe { libc::ioctl(pagemap.as_fd().as_raw_fd(), PAGEMAP_SCAN, &raw mut arguments) };
        let count = usize::try_from(result).map_err(|_| io::Error::last_os_error())?;
        for region in regions.iter().take(count) {
            match found.last_mut() {
                Some(last) if last.end == region.start => last.end = region.end,
                // What was told already is not told again.
                Some(last) if region.start < last.end => last.end = last.end.max(region.end),
                _ => found.push(region.start..region.end),
            }
        }
        // Without progress there would be no end.
        if arguments.walk_end <= start {
            break;
        }
        start = arguments.walk_end;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn pages_that_were_written_are_found_and_no_others() {
        const PAGE: usize = 4096;
        let pagemap = File::open("/proc/self/pagemap").expect("it is there");
        let file = tempfile::tempfile().expect("there is room");
        file.set_len(8 * PAGE as u64).expect("there is room");
        let flags = nix::sys::mman::MapFlags::MAP_PRIVATE;
        let protection = nix::sys::mman::ProtFlags::PROT_READ | nix::sys::mman::ProtFlags::PROT_WRITE;
        let length = std::num::NonZero::new(8 * PAGE).expect("it is not zero");
        // SAFETY: a new mapping is nobody else's.
        let mapping = unsafe { nix::sys::mman::mmap(None, length, protection, flags, &file, 0) };
        let mapping = mapping.expect("there is room");
        let start = mapping.addr().get() as u64;
        for (page, is_written) in [(1, true), (2, true), (4, false), (6, true)] {
            // SAFETY: it is within the mapping, which is private.
            let byte = unsafe { mapping.cast::<u8>().add(page * PAGE) };
            if is_written {
                // SAFETY: as above.
                unsafe { byte.write_volatile(1) };
            } else {
                // SAFETY: as above.
                assert_eq!(unsafe { byte.read_volatile() }, 0);
            }
        }
        let at = |page: u64| start + page * PAGE as u64;
        let found = private_pages(&pagemap, at(0)..at(8)).expect("the host is new enough");
        assert_eq!(found, [at(1)..at(3), at(6)..at(7)]);
        let found = private_pages(&pagemap, at(2)..at(6)).expect("as above");
        assert_eq!((found.len(), found.first().cloned()), (1, Some(at(2)..at(3))));
        // SAFETY: nobody uses it any more.
        unsafe { nix::sys::mman::munmap(mapping, 8 * PAGE) }.expect("it is mapped");
    }
}
