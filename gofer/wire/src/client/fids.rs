//! Which fids are in use.

use crate::NO_FID;

/// The client's name for a file of the server.
///
/// It is a plain number, to be given back by [`Client::clunk`](super::Client::clunk) when done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fid(pub(super) u32);

impl Fid {
    /// The number.
    pub fn raw(self) -> u32 {
        self.0
    }
}

/// Hands out numbers, used ones first so that the server's table stays dense.
#[derive(Debug, Default)]
pub(super) struct FidAllocator {
    next: u32,
    free: Vec<u32>,
}

impl FidAllocator {
    /// A number that is not in use; `None` when four thousand million are.
    pub(super) fn allocate(&mut self) -> Option<Fid> {
        if let Some(fid) = self.free.pop() {
            return Some(Fid(fid));
        }
        let fid = self.next;
        self.next = fid.checked_add(1).filter(|&next| next < NO_FID)?;
        Some(Fid(fid))
    }

    /// Takes a number back.
    pub(super) fn release(&mut self, fid: Fid) {
        debug_assert!(!self.free.contains(&fid.0), "a fid is released once");
        self.free.push(fid.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_used_again() {
        let mut fids = FidAllocator::default();
        let (first, second) = (fids.allocate().unwrap(), fids.allocate().unwrap());
        assert_ne!(first, second);
        fids.release(first);
        assert_eq!(fids.allocate(), Some(first));
        assert_eq!(fids.allocate(), Some(Fid(2)));
    }

    #[test]
    fn the_reserved_number_is_never_given() {
        let mut fids = FidAllocator { next: NO_FID - 2, free: Vec::new() };
        assert_eq!(fids.allocate(), Some(Fid(NO_FID - 2)));
        assert_eq!(fids.allocate(), None);
    }
}
