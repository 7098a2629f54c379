//! How much is mapped: what the resource limits bound and `/proc/PID/status` shows.

use std::ops::Range;

use cloister_platform::Protection;
use serde::{Deserialize, Serialize};

use super::{Vma, VmaFlags};

/// Bytes mapped, by what they are (`proc(5)`, `/proc/PID/status`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totals {
    /// All (`VmSize`).
    pub(crate) all: u64,
    /// The most that `all` has been (`VmPeak`).
    pub(crate) peak: u64,
    /// What is writable and private, but no stack (`VmData`).
    pub(crate) data: u64,
    /// What grows down (`VmStk`).
    pub(crate) stack: u64,
    /// What is executable and not writable (`VmExe` and `VmLib`).
    pub(crate) code: u64,
    /// What is locked (`VmLck`).
    pub(crate) locked: u64,
    /// What has some access allowed: what can be resident at most.
    pub(crate) accessible: u64,
    /// The part of `accessible` that shows files.
    pub(crate) files: u64,
    /// The part of `accessible` that shows shared memory without a name.
    pub(crate) shared_memory: u64,
}

impl Totals {
    /// Adds a mapping.
    pub(super) fn add(&mut self, range: &Range<u64>, vma: &Vma) {
        for (total, len) in self.parts(range, vma) {
            *total = total.saturating_add(len);
        }
        self.peak = self.peak.max(self.all);
    }

    /// Takes a mapping away.
    pub(super) fn remove(&mut self, range: &Range<u64>, vma: &Vma) {
        for (total, len) in self.parts(range, vma) {
            *total = total.saturating_sub(len);
        }
    }

    fn parts(&mut self, range: &Range<u64>, vma: &Vma) -> [(&mut u64, u64); 8] {
        let len = range.end - range.start;
        let when = |condition: bool| if condition { len } else { 0 };
        let is_code = vma.protection & (Protection::EXECUTE | Protection::WRITE) == Protection::EXECUTE;
        let is_accessible = !vma.protection.is_empty();
        let object = vma.object();
        let is_file = object.is_some_and(|(object, _)| object.file().is_some());
        [
            (&mut self.all, len),
            (&mut self.data, when(is_data(vma))),
            (&mut self.stack, when(vma.grows_down())),
            (&mut self.code, when(is_code && !vma.grows_down())),
            (&mut self.locked, when(vma.flags.contains(VmaFlags::LOCKED))),
            (&mut self.accessible, when(is_accessible)),
            (&mut self.files, when(is_accessible && is_file)),
            (&mut self.shared_memory, when(is_accessible && object.is_some() && !is_file)),
        ]
    }
}

/// Returns whether a mapping counts as data (`RLIMIT_DATA`).
pub(super) fn is_data(vma: &Vma) -> bool {
    vma.protection.contains(Protection::WRITE) && !vma.is_shared() && !vma.grows_down()
}
