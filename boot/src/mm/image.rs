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

    /// Maps what was saved. `object_of` finds memory objects by their numbers and `file_of` descriptions by their ids. The
    /// pages are for [`Mm::fill`] and [`Mm::show_saved`].
    ///
    /// # Errors
    ///
    /// `EINVAL` if an object is not there or the mappings are not ones that can be, and the host's.
    pub(crate) fn restore(
        &self,
        image: MmImage,
        object_of: impl Fn(u32) -> Option<Arc<MemoryObject>>,
        file_of: impl Fn(u64) -> Option<Arc<OpenFile>>,
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
            self.map_with_advice(&vma.range, protection, flags, new.host_backing(0))?;
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
}
