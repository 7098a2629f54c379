//! Memory that the host shows from a snapshot.
//!
//! An address space that was restored lazily has mappings as the guest made them, and pages that are still a snapshot's: the
//! host has them as mappings of their own, of which the tree of [`Vma`]s knows nothing. They are kept in a second map, and
//! each change goes over them piece by piece, since for the host they are something else than their neighbours:
//!
//! * what is mapped or unmapped takes their place;
//! * the host moves and resizes one mapping at a time, and what grows behind such a piece must not show what the snapshot
//!   has behind it;
//! * pages that a program gives back must read as zeros or as the file's, never as the snapshot's again: the host would
//!   fetch them anew, so the piece is replaced.
//!
//! A page that is written is the process' own from then on, as in any private mapping of a file, and stays in its piece.

use std::ops::Range;

use cloister_collections::{Segment, SegmentMap};
use cloister_platform::{Backing, Protection};

use super::mm::MmState;
use super::{Mm, PAGE_BYTES, Vma, VmaFlags};
use crate::error::Errno;
use crate::prelude::errno;

/// Pages of a snapshot that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SavedPages {
    /// The number of the build that has them, among those that the sandbox was restored from.
    pub(crate) build: u32,
    /// The number of the first page in the build.
    pub(crate) stored: u64,
}

/// What is a mapping of its own for the host, but not in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// It shows pages of a snapshot, where they were not written since.
    Saved(SavedPages),
    /// It shows what the mapping in the tree says.
    Plain,
}

impl Segment for Piece {
    fn split_off(&mut self, at: u64) -> Self {
        match *self {
            Self::Saved(SavedPages { build, stored }) => {
                Self::Saved(SavedPages { build, stored: stored.wrapping_add(at / PAGE_BYTES) })
            }
            Self::Plain => Self::Plain,
        }
    }

    fn can_merge(&self, len: u64, next: &Self) -> bool {
        let mut whole = *self;
        // What is plain may or may not be one with its neighbour for the host.
        matches!(self, Self::Saved(_)) && whole.split_off(len) == *next
    }
}

/// The flags of mappings that the host knows too, by advice.
const HOST_ADVICE: [(VmaFlags, i32); 4] = [
    (VmaFlags::DONT_FORK, libc::MADV_DONTFORK),
    (VmaFlags::WIPE_ON_FORK, libc::MADV_WIPEONFORK),
    (VmaFlags::HUGE_PAGES, libc::MADV_HUGEPAGE),
    (VmaFlags::NO_HUGE_PAGES, libc::MADV_NOHUGEPAGE),
];

/// How much is copied at once.
const COPY_BYTES: u64 = 256 << 10;

/// What memory can be written with.
const WRITABLE: Protection = Protection::READ.union(Protection::WRITE);

impl Mm {
    /// Has the host show `backing`, which are `saved` pages, in a part of one private mapping.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is not that, and the host's.
    pub(crate) fn show_saved(
        &self,
        range: Range<u64>,
        saved: SavedPages,
        backing: Backing<'_>,
    ) -> Result<(), Errno> {
        let mut state = self.state();
        let found = state.vmas().get(range.start);
        let (_, vma) = found.filter(|(whole, _)| range.end <= whole.end).ok_or(errno::EINVAL)?;
        // The host wipes anonymous memory only.
        if vma.is_shared() || vma.flags.contains(VmaFlags::WIPE_ON_FORK) {
            return Err(errno::EINVAL);
        }
        self.map_with_advice(&range, vma.protection, vma.flags, backing)?;
        state.set_piece(range, Piece::Saved(saved));
        Ok(())
    }

    /// Returns where in `range` the host shows pages of a snapshot, unless they were written since.
    pub(crate) fn saved_pages(&self, range: &Range<u64>) -> Vec<(Range<u64>, SavedPages)> {
        let state = self.state();
        let saved = state.pieces_in(range).into_iter();
        saved.filter_map(|(part, piece)| Some((part, piece?.saved()?))).collect()
    }

    /// Brings contents of private memory back: `read` reads those that belong to an address. What can't be written is
    /// made writable for the moment, so nothing may run.
    ///
    /// # Errors
    ///
    /// Those of `read`; `EFAULT` if it is no memory that can be written.
    pub(crate) fn fill(
        &self,
        range: Range<u64>,
        protection: Protection,
        mut read: impl FnMut(u64, &mut [u8]) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        if protection != WRITABLE {
            self.space.protect(range.clone(), WRITABLE)?;
        }
        let mut bytes = Vec::new();
        for part in parts(&range) {
            bytes.resize(usize::try_from(part.end - part.start).unwrap_or(0), 0);
            read(part.start, &mut bytes)?;
            if self.space.write(part.start, &bytes) < bytes.len() {
                return Err(errno::EFAULT);
            }
        }
        if protection != WRITABLE {
            self.space.protect(range, protection)?;
        }
        Ok(())
    }

    /// Has the host map `backing`, and gives it the advice that was given for the mapping.
    pub(super) fn map_with_advice(
        &self,
        range: &Range<u64>,
        protection: Protection,
        flags: VmaFlags,
        backing: Backing<'_>,
    ) -> Result<(), Errno> {
        self.space.map(range.clone(), protection, backing)?;
        for (flag, advice) in HOST_ADVICE {
            if flags.contains(flag) {
                // As when the program gave it: whether the host has huge pages, say, is no matter.
                let _ = self.space.advise(range.clone(), advice);
            }
        }
        Ok(())
    }

    /// Has the host show in `range` what the mappings say, in place of pages of a snapshot: their contents are lost.
    pub(super) fn drop_saved(&self, state: &mut MmState, range: &Range<u64>) -> Result<(), Errno> {
        for (part, vma, at) in state.saved_parts(range) {
            self.map_with_advice(&part, vma.protection, vma.flags, vma.host_backing(at))?;
            state.set_piece(part, Piece::Plain);
        }
        Ok(())
    }

    /// Makes pages of a snapshot in `range` the address space's own.
    pub(super) fn take_saved(&self, state: &mut MmState, range: &Range<u64>) -> Result<(), Errno> {
        for (whole, vma, at) in state.saved_parts(range) {
            for part in parts(&whole) {
                self.space.protect(part.clone(), Protection::READ)?;
                let mut bytes = vec![0; usize::try_from(part.end - part.start).unwrap_or(0)];
                if self.space.read(part.start, &mut bytes) < bytes.len() {
                    return Err(errno::EIO);
                }
                let backing = vma.host_backing(at + (part.start - whole.start));
                self.map_with_advice(&part, vma.protection, vma.flags, backing)?;
                state.set_piece(part.clone(), Piece::Plain);
                self.fill(part, vma.protection, |_, into| {
                    into.copy_from_slice(&bytes);
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    /// Has the host move the mapping `vma` from `old` to `new`, which may be longer. Returns the pieces of the new place.
    pub(super) fn remap_on_host(
        &self,
        state: &MmState,
        vma: &Vma,
        old: &Range<u64>,
        new: &Range<u64>,
    ) -> Result<Vec<(Range<u64>, Piece)>, Errno> {
        let pieces = state.pieces_in(old);
        let behind = new.start + (old.end - old.start)..new.end;
        let ends_saved = matches!(pieces.last(), Some((_, Some(Piece::Saved(_)))));
        let mut moves: Vec<_> =
            pieces.iter().map(|(part, _)| (part.clone(), moved(part, old.start, new.start))).collect();
        let mut result: Vec<_> = pieces
            .iter()
            .filter_map(|(part, piece)| Some((moved(part, old.start, new.start), (*piece)?)))
            .collect();
        if !ends_saved {
            // What is last grows.
            if let Some((_, to)) = moves.last_mut() {
                to.end = new.end;
            }
            if let (Some((to, _)), Some((_, Some(_)))) = (result.last_mut(), pieces.last()) {
                to.end = new.end;
            }
        } else if !behind.is_empty() {
            let flags = vma.flags;
            self.map_with_advice(&behind, vma.protection, flags, vma.host_backing(old.end - old.start))?;
            result.push((behind.clone(), Piece::Plain));
        }
        for (number, (from, to)) in moves.iter().enumerate() {
            if from == to {
                continue;
            }
            if let Err(errno) = self.space.remap(from.clone(), to.clone()) {
                // As far as it goes: nothing has moved for the guest.
                for (from, to) in moves.iter().take(number).rev() {
                    let _ = self.space.remap(to.clone(), from.clone());
                }
                if ends_saved && !behind.is_empty() {
                    let _ = self.space.unmap(behind);
                }
                return Err(errno);
            }
        }
        Ok(result)
    }
}

impl Piece {
    fn saved(self) -> Option<SavedPages> {
        match self {
            Self::Saved(saved) => Some(saved),
            Self::Plain => None,
        }
    }
}

impl MmState {
    /// Returns what `range` consists of for the host: parts with or without a piece, in order.
    pub(super) fn pieces_in(&self, range: &Range<u64>) -> Vec<(Range<u64>, Option<Piece>)> {
        let (mut all, mut at) = (Vec::new(), range.start);
        for (whole, piece) in self.pieces().overlapping(range.clone()) {
            let part = whole.start.max(range.start)..whole.end.min(range.end);
            if at < part.start {
                all.push((at..part.start, None));
            }
            at = part.end;
            let mut piece = *piece;
            if whole.start < part.start {
                piece = piece.split_off(part.start - whole.start);
            }
            all.push((part, Some(piece)));
        }
        if at < range.end {
            all.push((at..range.end, None));
        }
        all
    }

    /// Returns the parts of `range` that show pages of a snapshot, with the mappings that they are in, and where in these.
    fn saved_parts(&self, range: &Range<u64>) -> Vec<(Range<u64>, Vma, u64)> {
        let saved =
            self.pieces_in(range).into_iter().filter(|(_, piece)| matches!(piece, Some(Piece::Saved(_))));
        let vmas = |part: Range<u64>| {
            let vmas: Vec<_> = self.vmas().overlapping(part.clone()).collect();
            vmas.into_iter().map(move |(whole, vma)| {
                let part = part.start.max(whole.start)..part.end.min(whole.end);
                let at = part.start - whole.start;
                (part, vma.clone(), at)
            })
        };
        saved.flat_map(|(part, _)| vmas(part)).collect()
    }
}

/// Returns where a part of a mapping is that was moved.
fn moved(part: &Range<u64>, from: u64, to: u64) -> Range<u64> {
    part.start - from + to..part.end - from + to
}

/// Returns parts of `range` that are small enough to be copied at once.
fn parts(range: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let (mut at, end) = (range.start, range.end);
    std::iter::from_fn(move || {
        let start = at;
        at = start.saturating_add(COPY_BYTES).min(end);
        (start < end).then_some(start..at)
    })
}

/// The pieces of an address space.
pub(super) type Pieces = SegmentMap<Piece>;
