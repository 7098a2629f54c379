//! The saved form of an address space: what is mapped, without the pages.
//!
//! # Snapshot
//!
//! Saved are the mappings, the layout, the heap and the limits. Memory objects are saved by who owns them, once for
//! however many mappings; here they are only numbered. The totals follow from the mappings, and what is known of the gaps
//! is found anew. The pages are a matter of the platform's address space.

use std::ops::Range;
use std::sync::Arc;

use cloister_platform::{AddressSpace, Protection};
use serde::{Deserialize, Serialize};

use super::{Layout, MemoryLimits, MemoryObject, Mm, ProgramInfo, Vma, VmaBacking, VmaFlags, VmaName};
use crate::error::Errno;
use crate::fs::OpenFile;
use crate::prelude::errno;

/// The saved form of a mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VmaImage {
    range: Range<u64>,
    protection: Protection,
    max_protection: Protection,
    flags: VmaFlags,
    /// The number of its memory object, and where it begins in it; `None`: zeros.
    object: Option<(u32, u64)>,
    name: VmaName,
}

/// The saved form of an address space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MmImage {
    vmas: Vec<VmaImage>,
    layout: Layout,
    limits: MemoryLimits,
    heap: Range<u64>,
    default_flags: VmaFlags,
    program: ProgramImage,
}

/// The saved form of a [`ProgramInfo`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProgramImage {
    /// The id of the program's description.
    file: Option<u64>,
    code: Range<u64>,
    data: Range<u64>,
    stack_start: u64,
    arguments: Range<u64>,
    environment: Range<u64>,
    auxiliary_vector: Vec<u8>,
}

impl Mm {
    /// Saves what is mapped; `number_of` numbers the memory objects.
    pub(crate) fn to_image(&self, mut number_of: impl FnMut(&Arc<MemoryObject>) -> u32) -> MmImage {
        let state = self.state();
        let program = &state.program;
        let program = ProgramImage {
            file: program.file.as_ref().map(|file| file.id()),
            code: program.code.clone(),
            data: program.data.clone(),
            stack_start: program.stack_start,
            arguments: program.arguments.clone(),
            environment: program.environment.clone(),
            auxiliary_vector: program.auxiliary_vector.clone(),
        };
        let vmas = state.vmas().iter().map(|(range, vma)| VmaImage {
            range,
            protection: vma.protection,
            max_protection: vma.max_protection,
            flags: vma.flags,
            object: vma.object().map(|(object, offset)| (number_of(object), offset)),
            name: vma.name.clone(),
        });
        MmImage {
            vmas: vmas.collect(),
            layout: state.layout.clone(),
            limits: state.limits,
            heap: state.heap.clone(),
            default_flags: state.default_flags,
            program,
        }
    }

    /// Makes an address space as `image` says, with nothing mapped yet.
    pub(crate) fn from_image(space: Arc<dyn AddressSpace>, image: &MmImage) -> Arc<Self> {
        Self::with_layout(space, image.layout.clone(), image.limits)
    }

    /// Maps what was saved. `object_of` finds memory objects by their numbers and `file_of` descriptions by their ids;
    /// `has_own` tells whether pages of a range are for [`Mm::restore_pages`] to bring back.
    ///
    /// # Errors
    ///
    /// `EINVAL` if an object is not there or the mappings are not ones that can be, and the host's.
    pub(crate) fn restore(
        &self,
        image: MmImage,
        object_of: impl Fn(u32) -> Option<Arc<MemoryObject>>,
        file_of: impl Fn(u64) -> Option<Arc<OpenFile>>,
        has_own: impl Fn(&Range<u64>) -> bool,
    ) -> Result<(), Errno> {
        let mut state = self.state();
        (state.heap, state.default_flags) = (image.heap, image.default_flags);
        for vma in image.vmas {
            state.check_range(&vma.range).map_err(|_| errno::EINVAL)?;
            let backing = match vma.object {
                None => VmaBacking::Anonymous,
                Some((number, offset)) => {
                    VmaBacking::Object { object: object_of(number).ok_or(errno::EINVAL)?, offset }
                }
            };
            let (protection, max_protection, flags) = (vma.protection, vma.max_protection, vma.flags);
            let new = Vma { protection, max_protection, flags, backing, name: vma.name };
            self.map_restored(&vma.range, &new, has_own(&vma.range))?;
            // Mappings that overlap are not ones that were saved.
            if !state.insert(vma.range, new).is_empty() {
                return Err(errno::EINVAL);
            }
        }
        let program = image.program;
        let file = match program.file {
            Some(id) => Some(file_of(id).ok_or(errno::EINVAL)?),
            None => None,
        };
        state.program = ProgramInfo {
            file,
            code: program.code,
            data: program.data,
            stack_start: program.stack_start,
            arguments: program.arguments,
            environment: program.environment,
            auxiliary_vector: program.auxiliary_vector,
        };
        Ok(())
    }

    /// Has the host map what was saved: writable, if there are pages to bring back.
    fn map_restored(&self, range: &Range<u64>, vma: &Vma, has_own: bool) -> Result<(), Errno> {
        let protection = if has_own { WRITABLE } else { vma.protection };
        self.space.map(range.clone(), protection, vma.host_backing(0))?;
        for (flag, advice) in HOST_ADVICE {
            if vma.flags.contains(flag) {
                // As when the program gave it: whether the host has huge pages, say, is no matter.
                let _ = self.space.advise(range.clone(), advice);
            }
        }
        Ok(())
    }

    /// Brings pages of private memory back, which [`Mm::restore`] has mapped; `read` reads up to so many bytes that belong to
    /// an address. Their protection is set by [`Mm::restore_protection`].
    ///
    /// # Errors
    ///
    /// Those of `read`; `EFAULT` if the pages are none of private memory.
    pub(crate) fn restore_pages(
        &self,
        range: Range<u64>,
        mut read: impl FnMut(u64, &mut [u8]) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let mut bytes = vec![0; RESTORE_BYTES];
        let mut at = range.start;
        while at < range.end {
            let left = usize::try_from(range.end - at).unwrap_or(usize::MAX);
            let part = bytes.get_mut(..left.min(RESTORE_BYTES)).unwrap_or_default();
            read(at, part)?;
            if self.space.write(at, part) < part.len() {
                return Err(errno::EFAULT);
            }
            at += part.len() as u64;
        }
        Ok(())
    }

    /// Protects mappings as they were, once their pages are back; `has_own` as for [`Mm::restore`].
    ///
    /// # Errors
    ///
    /// The host's.
    pub(crate) fn restore_protection(&self, has_own: impl Fn(&Range<u64>) -> bool) -> Result<(), Errno> {
        for (range, vma) in self.mappings() {
            if vma.protection != WRITABLE && has_own(&range) {
                self.space.protect(range, vma.protection)?;
            }
        }
        Ok(())
    }
}

/// What memory can be written with.
const WRITABLE: Protection = Protection::READ.union(Protection::WRITE);
/// How much is brought back at once.
const RESTORE_BYTES: usize = 256 << 10;
/// The flags that the host knows too, by advice.
const HOST_ADVICE: [(VmaFlags, i32); 4] = [
    (VmaFlags::DONT_FORK, libc::MADV_DONTFORK),
    (VmaFlags::WIPE_ON_FORK, libc::MADV_WIPEONFORK),
    (VmaFlags::HUGE_PAGES, libc::MADV_HUGEPAGE),
    (VmaFlags::NO_HUGE_PAGES, libc::MADV_NOHUGEPAGE),
];
