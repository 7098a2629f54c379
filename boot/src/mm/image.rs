//! The saved form of an address space: what is mapped, without the pages.
//!
//! # Snapshot
//!
//! Saved are the mappings, the layout, the heap and the limits. Memory objects are saved by who owns them, once for
//! however many mappings; here they are only numbered. The totals follow from the mappings, and what is known of the gaps
//! is found anew. The pages are a matter of the platform's address space.

#![cfg_attr(not(test), expect(dead_code, reason = "the tests use it until there is a checkpoint"))]

use std::ops::Range;
use std::sync::Arc;

use cloister_platform::{AddressSpace, Protection};
use serde::{Deserialize, Serialize};

use super::{Layout, MemoryLimits, MemoryObject, Mm, Vma, VmaBacking, VmaFlags, VmaName};

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
}

impl Mm {
    /// Saves what is mapped; `number_of` numbers the memory objects.
    pub(crate) fn to_image(&self, mut number_of: impl FnMut(&Arc<MemoryObject>) -> u32) -> MmImage {
        let state = self.state();
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
        }
    }

    /// Restores an address space whose pages `space` has. `None`: `object_of` does not know the number of an object, or
    /// the mappings are not ones that can be.
    pub(crate) fn from_image(
        space: Arc<dyn AddressSpace>,
        image: MmImage,
        object_of: impl Fn(u32) -> Option<Arc<MemoryObject>>,
    ) -> Option<Arc<Self>> {
        let MmImage { vmas, layout, limits, heap, default_flags } = image;
        let mm = Self::with_layout(space, layout, limits);
        {
            let mut state = mm.state();
            (state.heap, state.default_flags) = (heap, default_flags);
            for vma in vmas {
                state.check_range(&vma.range).ok()?;
                let backing = match vma.object {
                    None => VmaBacking::Anonymous,
                    Some((number, offset)) => VmaBacking::Object { object: object_of(number)?, offset },
                };
                let (protection, max_protection) = (vma.protection, vma.max_protection);
                let flags = vma.flags;
                let new = Vma { protection, max_protection, flags, backing, name: vma.name };
                // Mappings that overlap are not ones that were saved.
                state.insert(vma.range, new).is_empty().then_some(())?;
            }
        }
        Some(mm)
    }
}
