//! Gives memory back that an idle process does not need.
//!
//! Start-up touches most of a program's code and constants, in runs of 64 KiB that the host maps at a fault, and memory
//! of the allocator that is free afterwards. A process that then waits for hours needs next to none of it. Its code
//! stays in the page cache as long as the host has room, so what is used again costs a fault that reads nothing.

#![expect(unsafe_code, reason = "unmaps pages of the program itself, and asks the C library for the places")]

use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a process does nothing before it is idle.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is worth the faults that follow.
const INTERVAL: Duration = Duration::from_secs(60);

/// When to give memory back next.
#[derive(Debug)]
pub struct Footprint {
    made: Instant,
    /// In seconds since then.
    next: AtomicU64,
}

impl Default for Footprint {
    fn default() -> Self {
        Self { made: Instant::now(), next: AtomicU64::new(0) }
    }
}

impl Footprint {
    /// Returns how long to sleep before [`Footprint::reduce`] is due, if nothing happens meanwhile. `None` if the last
    /// time was not long ago.
    pub fn patience(&self) -> Option<Duration> {
        (self.made.elapsed().as_secs() >= self.next.load(Ordering::Relaxed)).then_some(PATIENCE)
    }

    /// Gives back what the allocator has free, and unmaps the program's code and constants until they are used.
    pub fn reduce(&self) {
        let next = self.made.elapsed().saturating_add(INTERVAL);
        self.next.store(next.as_secs(), Ordering::Relaxed);
        // SAFETY: no memory that is in use is touched.
        unsafe { libc::malloc_trim(0) };
        // SAFETY: the function has the type that is asked for, and looks at what it is given only during the call.
        unsafe { libc::dl_iterate_phdr(Some(unmap_constants), std::ptr::null_mut()) };
    }
}

/// Unmaps the pages of an object that cannot be written, and stops the iteration: the program itself comes first.
unsafe extern "C" fn unmap_constants(
    object: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    _data: *mut c_void,
) -> i32 {
    /// The size of a page.
    const PAGE: usize = 4096;
    // SAFETY: the C library gives a valid object.
    let object = unsafe { &*object };
    // SAFETY: these are the object's program headers, which are mapped as long as it is.
    let headers = unsafe { std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()) };
    for header in headers {
        if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
            continue;
        }
        let (Ok(base), Ok(address), Ok(length)) = (
            usize::try_from(object.dlpi_addr),
            usize::try_from(header.p_vaddr),
            usize::try_from(header.p_memsz),
        ) else {
            continue;
        };
        // Whole pages that are this segment's alone.
        let start = base.wrapping_add(address).next_multiple_of(PAGE);
        let end = base.wrapping_add(address).wrapping_add(length) / PAGE * PAGE;
        if start < end {
            let start = std::ptr::with_exposed_provenance_mut(start);
            // SAFETY: a private mapping of a file that nobody writes to: the next access finds the same bytes.
            unsafe { libc::madvise(start, end - start.addr(), libc::MADV_DONTNEED) };
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how much of the program's code is mapped, in KiB.
    fn mapped_code() -> u64 {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut lines = maps.lines().skip_while(|line| !(line.contains(" r-xp ") && line.contains('/')));
        let size = lines.find_map(|line| line.strip_prefix("Rss:")).unwrap();
        size.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    fn code_is_unmapped_and_comes_back() {
        let footprint = Footprint::default();
        // Twice, so that what this test needs is mapped in both measurements.
        for _ in 0..2 {
            assert!(mapped_code() > 0);
        }
        let before = mapped_code();
        assert_eq!(footprint.patience(), Some(PATIENCE));
        footprint.reduce();
        let after = mapped_code();
        assert!(after < before, "{before} KiB before, {after} KiB after");
        assert_eq!(footprint.patience(), None);
    }
}
