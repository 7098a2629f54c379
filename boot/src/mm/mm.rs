//! An address space as the kernel sees it.

use std::ops::Range;
use std::sync::Arc;

use cloister_collections::SegmentMap;
use cloister_platform::{AddressSpace, Protection};
use cloister_sync::{Lock, LockGuard, class};

use super::gaps::GapCache;
use super::layout::{Layout, Randomization};
use super::pieces::{Piece, Pieces};
use super::program::ProgramInfo;
use super::totals::is_data;
use super::{MemoryLimits, Totals, Vma, VmaFlags};
use crate::error::{Errno, Fail, fail};
use crate::prelude::errno;

/// The most mappings that an address space can have (`/proc/sys/vm/max_map_count`).
pub(super) const MAX_MAPPINGS: usize = 65530;

/// The address space of one or more tasks.
///
/// # Locking
///
/// One lock of [`class::ADDRESS_SPACE`] over the tree of mappings and the platform's calls that change the host's
/// side, so that the two agree. Files that a change lets go of are dropped without it.
#[derive(Debug)]
pub(crate) struct Mm {
    pub(super) space: Arc<dyn AddressSpace>,
    state: Lock<MmState, { class::ADDRESS_SPACE }>,
}

/// What the lock of an [`Mm`] protects.
#[derive(Clone, Debug)]
pub(super) struct MmState {
    /// The mappings; [`MmState::insert`] and its neighbours keep the totals right.
    vmas: SegmentMap<Vma>,
    /// What of them the host has as mappings of their own; gone with the mappings.
    pieces: Pieces,
    totals: Totals,
    gaps: GapCache,
    pub(super) layout: Layout,
    pub(super) limits: MemoryLimits,
    /// The heap: from where the first `brk` was to where it is now.
    pub(super) heap: Range<u64>,
    /// What new mappings are marked with (`mlockall(2)`, `MCL_FUTURE`).
    pub(super) default_flags: VmaFlags,
    pub(super) program: ProgramInfo,
}

impl Mm {
    /// Wraps an address space that holds nothing yet.
    pub(crate) fn new(
        space: Arc<dyn AddressSpace>,
        limits: MemoryLimits,
        randomization: Randomization,
    ) -> Arc<Self> {
        let layout = Layout::choose(space.range(), limits.stack, randomization);
        Self::with_layout(space, layout, limits)
    }

    /// Wraps an address space in which things go where `layout` says.
    pub(super) fn with_layout(
        space: Arc<dyn AddressSpace>,
        layout: Layout,
        limits: MemoryLimits,
    ) -> Arc<Self> {
        let state = MmState {
            vmas: SegmentMap::default(),
            pieces: Pieces::default(),
            totals: Totals::default(),
            gaps: GapCache::new(&layout),
            layout,
            limits,
            heap: 0..0,
            default_flags: VmaFlags::empty(),
            program: ProgramInfo::default(),
        };
        Arc::new(Self { space, state: Lock::new(state) })
    }

    /// Returns the platform's side.
    pub(crate) fn space(&self) -> &Arc<dyn AddressSpace> {
        &self.space
    }

    pub(super) fn state(&self) -> LockGuard<'_, MmState> {
        self.state.lock()
    }

    /// Returns where things go.
    pub(crate) fn layout(&self) -> Layout {
        self.state().layout.clone()
    }

    /// Returns how much is mapped.
    pub(crate) fn totals(&self) -> Totals {
        self.state().totals
    }

    /// Returns what the program that it holds is.
    pub(crate) fn program(&self) -> ProgramInfo {
        self.state().program.clone()
    }

    /// Sets what the program that it holds is; or a part of that, as `PR_SET_MM` does.
    pub(crate) fn set_program(&self, program: ProgramInfo) {
        let before = std::mem::replace(&mut self.state().program, program);
        drop(before);
    }

    /// Returns the heap: from where the first break was to where it is now.
    pub(crate) fn heap(&self) -> Range<u64> {
        self.state().heap.clone()
    }

    /// Returns the limits.
    pub(crate) fn limits(&self) -> MemoryLimits {
        self.state().limits
    }

    /// Sets the limits: a process' own changed, or another process shares this now.
    pub(crate) fn set_limits(&self, limits: MemoryLimits) {
        self.state().limits = limits;
    }

    /// Returns the mapping that holds `address`.
    pub(crate) fn find(&self, address: u64) -> Option<(Range<u64>, Vma)> {
        self.state().vmas.get(address).map(|(range, vma)| (range, vma.clone()))
    }

    /// Returns whether `range` is text that does not change: see [`cloister_platform::TrapHandler::is_fixed_text`].
    pub(crate) fn is_fixed_text(&self, range: &Range<u64>) -> bool {
        let state = self.state();
        let Some((whole, vma)) = state.vmas.get(range.start) else { return false };
        range.end <= whole.end
            && !vma.is_shared()
            && vma.object().is_some()
            && vma.protection.contains(Protection::EXECUTE)
            && !vma.protection.contains(Protection::WRITE)
    }

    /// Returns all mappings in the order of their addresses (`/proc/PID/maps`).
    pub(crate) fn mappings(&self) -> Vec<(Range<u64>, Vma)> {
        self.state().vmas.iter().map(|(range, vma)| (range, vma.clone())).collect()
    }

    /// Makes the copy that a new process starts with (`fork(2)`).
    ///
    /// # Errors
    ///
    /// The host's: `EAGAIN` or `ENOMEM`.
    pub(crate) fn fork(&self) -> Result<Arc<Self>, Errno> {
        let state = self.state();
        let space = self.space.fork()?;
        let mut copy = state.clone();
        drop(state);
        // The host's fork heeds the same advice by itself.
        let left_out: Vec<Range<u64>> = copy
            .vmas
            .iter()
            .filter(|(_, vma)| vma.flags.contains(VmaFlags::DONT_FORK))
            .map(|(range, _)| range)
            .collect();
        for range in left_out {
            copy.remove(range);
        }
        copy.default_flags.remove(VmaFlags::LOCKED);
        let all = copy.layout.range.clone();
        copy.update(all, |vma| vma.flags.remove(VmaFlags::LOCKED));
        copy.totals.peak = copy.totals.all;
        Ok(Arc::new(Self { space, state: Lock::new(copy) }))
    }
}

impl MmState {
    /// Returns the mappings.
    pub(super) fn vmas(&self) -> &SegmentMap<Vma> {
        &self.vmas
    }

    /// Returns what the host has as mappings of their own.
    pub(super) fn pieces(&self) -> &Pieces {
        &self.pieces
    }

    /// Takes note that the host has a mapping of its own at `range`, which is a part of one.
    pub(super) fn set_piece(&mut self, range: Range<u64>, piece: Piece) {
        self.pieces.insert(range, piece);
    }

    /// Returns how much is mapped.
    pub(super) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Enters a mapping in place of what was at `range`, which is returned, to be dropped without the lock.
    #[must_use = "the files of the mappings are to be dropped without the lock"]
    pub(super) fn insert(&mut self, range: Range<u64>, vma: Vma) -> Vec<(Range<u64>, Vma)> {
        let removed = self.take(range.clone());
        self.totals.add(&range, &vma);
        self.vmas.insert(range, vma);
        removed
    }

    /// Removes the mappings in `range`, which are returned, to be dropped without the lock.
    pub(super) fn remove(&mut self, range: Range<u64>) -> Vec<(Range<u64>, Vma)> {
        let removed = self.take(range.clone());
        if !removed.is_empty() {
            self.gaps.freed(&self.vmas, &self.layout, &range);
        }
        removed
    }

    fn take(&mut self, range: Range<u64>) -> Vec<(Range<u64>, Vma)> {
        self.pieces.remove(range.clone());
        let removed = self.vmas.remove(range);
        for (range, vma) in &removed {
            self.totals.remove(range, vma);
        }
        removed
    }

    /// Changes the parts of mappings that are in `range`.
    pub(super) fn update(&mut self, range: Range<u64>, mut change: impl FnMut(&mut Vma)) {
        for (part, vma) in self.vmas.overlapping(range.clone()) {
            let part = part.start.max(range.start)..part.end.min(range.end);
            let mut changed = vma.clone();
            change(&mut changed);
            self.totals.remove(&part, vma);
            self.totals.add(&part, &changed);
        }
        self.vmas.update(range, change);
    }

    /// Returns the start of a free range of `len` bytes.
    pub(super) fn find_gap(&mut self, len: u64) -> Option<u64> {
        self.gaps.find(&self.vmas, &self.layout, len)
    }

    /// Checks that `len` more bytes like `vma`, in place of what is mapped in `replaced`, are within the limits.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if not.
    pub(super) fn check_growth(&self, vma: &Vma, len: u64, replaced: &Range<u64>) -> Result<(), Fail> {
        if self.vmas.len() >= MAX_MAPPINGS {
            return Err(fail(errno::ENOMEM, "too many mappings"));
        }
        let mut totals = self.totals;
        for (part, vma) in self.vmas.overlapping(replaced.clone()) {
            totals.remove(&(part.start.max(replaced.start)..part.end.min(replaced.end)), vma);
        }
        if totals.all.saturating_add(len) > self.limits.address_space {
            return Err(fail(errno::ENOMEM, "more than RLIMIT_AS"));
        }
        if is_data(vma) && totals.data.saturating_add(len) > self.limits.data {
            return Err(fail(errno::ENOMEM, "more than RLIMIT_DATA"));
        }
        Ok(())
    }

    /// Checks that there can be so many mappings as there are once `range` begins and ends one.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if not.
    pub(super) fn check_split(&self, range: &Range<u64>) -> Result<(), Fail> {
        let is_inside = |at: u64| self.vmas.get(at).is_some_and(|(vma, _)| vma.start < at);
        let splits = usize::from(is_inside(range.start)) + usize::from(is_inside(range.end));
        if splits > 0 && self.vmas.len() + splits > MAX_MAPPINGS {
            return Err(fail(errno::ENOMEM, "too many mappings"));
        }
        Ok(())
    }

    /// Checks that `len` more bytes may be locked.
    ///
    /// # Errors
    ///
    /// `errno` if not.
    pub(super) fn check_locked(&self, len: u64, errno: Errno) -> Result<(), Fail> {
        if self.totals.locked.saturating_add(len) > self.limits.locked {
            return Err(fail(errno, "more than RLIMIT_MEMLOCK"));
        }
        Ok(())
    }
}
