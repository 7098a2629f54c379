//! Walks and answers with the attributes of every element, the target of a symbolic link, and an open descriptor.

use crate::attr::Attr;
use crate::codec::{List, struct_field};
use crate::message::exchange;

/// Stands for "do not open" in [`TwalkAttr::open_flags`] and for "not opened" in [`RwalkAttr::open_errno`].
pub const NO_OPEN: u32 = u32::MAX;

/// An element of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<'a> {
    /// The fid for it, or [`crate::NO_FID`] for none.
    pub fid: u32,
    /// Its name.
    pub name: &'a [u8],
}
struct_field!(Step<'a> { fid, name });

exchange! {
    /// Walks from `fid`, making a fid for every element found.
    ///
    /// Names are never `.` or `..`. The walk stops at the first element that cannot be walked, which is no error: the
    /// reply says how far it came and why it went no further. Fids of elements not reached stay free.
    TwalkAttr<'a> = 200 {
        /// Where to start.
        fid: u32,
        /// Linux' open flags with which to open the last element, or [`NO_OPEN`].
        open_flags: u32,
        /// The elements.
        steps: List<Step<'a>, { crate::MAX_WALK }>,
    }
    /// Says what was found. Carries a descriptor if [`RwalkAttr::open_errno`] is 0.
    RwalkAttr<'r> = 201 {
        /// 0 if every element was walked, else the error that the next one gave: `ENOENT` for a missing name; `ELOOP`
        /// if the last element reached is a symbolic link, with more to walk; `ENOTDIR`; …
        errno: u32,
        /// What the last element reached holds, if that is a symbolic link.
        target: &'r [u8],
        /// 0 if a descriptor rides along; [`NO_OPEN`] if none was asked for, if the walk came not to its end, or if the
        /// end is no regular file; else why the open failed.
        open_errno: u32,
        /// The attributes of the elements reached.
        attrs: List<Attr, { crate::MAX_WALK }>,
    }
}
