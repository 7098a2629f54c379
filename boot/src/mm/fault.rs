//! Page faults that the host leaves to the kernel: memory that grows down.
//!
//! The host's side of such a mapping is an ordinary one, so a touch below it is a fault, which reaches the kernel. It
//! grows then at least to twice its size, so that a deep recursion faults a few times only.

use std::os::fd::BorrowedFd;

use super::Mm;
use super::layout::{STACK_GUARD_BYTES, page_down};
use super::mm::MmState;

impl Mm {
    /// Makes `address`, where nothing is mapped for the host, part of the mapping above if that grows down. Returns
    /// whether the access can be tried again.
    pub(crate) fn handle_fault(&self, address: u64) -> bool {
        let mut state = self.state();
        let Some((range, vma)) = state.vmas().above(address).next() else { return false };
        if !vma.grows_down() || vma.protection.is_empty() {
            return false;
        }
        if range.contains(&address) {
            // Another thread was faster.
            return true;
        }
        let mut vma = vma.clone();
        let Some(lowest) = state.lowest_start(&range) else { return false };
        let needed = page_down(address);
        let wanted = range.start.saturating_sub(range.end - range.start).max(lowest).min(needed);
        for start in [wanted, needed] {
            let grown = start..range.start;
            let is_possible = start >= lowest
                && state.check_range(&grown).is_ok()
                && state.check_growth(&vma, grown.end - start, &(0..0)).is_ok();
            if is_possible && self.map_on_host(&grown, &vma).is_ok() {
                vma.flags |= state.default_flags;
                drop(state.insert(grown, vma));
                return true;
            }
        }
        false
    }

    /// As [`AddressSpace::read`](cloister_platform::AddressSpace::read), of memory that grows down too.
    pub(crate) fn read(&self, address: u64, into: &mut [u8]) -> usize {
        let mut done = 0;
        loop {
            let Some(rest) = into.get_mut(done..) else { return done };
            let at = address.wrapping_add(done as u64);
            done += self.space.read(at, rest);
            if done >= into.len() || !self.handle_fault(address.wrapping_add(done as u64)) {
                return done;
            }
        }
    }

    /// As [`AddressSpace::write_file`](cloister_platform::AddressSpace::write_file).
    pub(crate) fn write_file(&self, address: u64, file: BorrowedFd<'_>, offset: u64, length: usize) -> usize {
        self.space.write_file(address, file, offset, length)
    }

    /// As [`AddressSpace::write`](cloister_platform::AddressSpace::write), of memory that grows down too.
    pub(crate) fn write(&self, address: u64, from: &[u8]) -> usize {
        let mut done = 0;
        loop {
            let Some(rest) = from.get(done..) else { return done };
            let at = address.wrapping_add(done as u64);
            done += self.space.write(at, rest);
            if done >= from.len() || !self.handle_fault(address.wrapping_add(done as u64)) {
                return done;
            }
        }
    }
}

impl MmState {
    /// Returns how far down a mapping that grows may reach: to its limit, and not too near to what is below.
    fn lowest_start(&self, range: &std::ops::Range<u64>) -> Option<u64> {
        let limit = page_down(range.end.saturating_sub(self.limits.stack));
        let below = self.vmas().below(range.start).next();
        let guard = match below {
            // What can't be accessed is a guard itself.
            Some((below, vma)) if vma.protection.is_empty() => below.end,
            Some((below, _)) => below.end.checked_add(STACK_GUARD_BYTES)?,
            None => self.layout.range.start,
        };
        Some(limit.max(guard)).filter(|lowest| *lowest < range.start)
    }
}
