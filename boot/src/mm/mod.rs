//! Memory: address spaces, vmas, and access to guest memory.
//!
//! An [`Mm`] is an address space. Its tree of [`Vma`]s is the truth for policy: limits, `/proc/PID/maps`, what `mremap`
//! may move, what a shared futex is. The pages are the host's matter: each change of the tree is one call of the
//! platform's [`AddressSpace`](cloister_platform::AddressSpace), under the same lock.
//!
//! Shared anonymous memory is a memfd, and a mapped file is the host file that its file system gives
//! ([`MemoryObject`]); so host page faults serve all.

mod advice;
mod fault;
mod gaps;
mod heap;
mod image;
mod layout;
mod limits;
mod lock;
mod map;
mod mm;
mod object;
mod pieces;
mod program;
mod protect;
mod remap;
mod totals;
mod unmap;
mod user_memory;
mod vma;

#[cfg(test)]
mod tests;

pub(crate) use advice::{Advice, Only};
pub(crate) use image::MmImage;
pub(crate) use layout::{Layout, Randomization, is_page, page_down, page_up};
pub(crate) use limits::MemoryLimits;
pub(crate) use lock::LockAll;
pub(crate) use map::Placement;
pub(crate) use mm::Mm;
pub(crate) use object::{MemoryObject, ObjectKey, ObjectOwner};
pub(crate) use pieces::SavedPages;
pub(crate) use program::ProgramInfo;
pub(crate) use protect::Extend;
pub(crate) use remap::{Move, OldPlace};
pub(crate) use totals::Totals;
pub(crate) use user_memory::{MAX_RW_COUNT, PAGE_BYTES, UserMemory, UserRange, UserSink, UserSource};
pub(crate) use vma::{Vma, VmaBacking, VmaFlags, VmaName};
