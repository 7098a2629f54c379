//! Lists a directory with the attributes of every entry.

use crate::attr::Attr;
use crate::codec::{Data, struct_field};
use crate::message::exchange;

/// An entry of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirentAttr<'a> {
    /// The file's attributes. If `nlink` is 0, only the file type, `ino` and `dev` are known: of `.` and `..`, and of what can
    /// be listed but not looked at.
    pub attr: Attr,
    /// What it holds, if it is a symbolic link; empty if that is long.
    pub target: &'a [u8],
    /// Where the listing goes on after this entry.
    pub offset: u64,
    /// The entry's name.
    pub name: &'a [u8],
}
struct_field!(DirentAttr<'a> { attr, target, offset, name });

exchange! {
    /// Asks for entries. The fid need not be open, and the listing has no state but the offset.
    TreaddirAttr<'a> = 208 {
        /// The directory or, if there is a `name`, the one that holds it.
        fid: u32,
        /// The fid that the directory gets if there is a `name`.
        newfid: u32,
        /// Empty, or the name of the directory in that of `fid`: the walk saves a request of its own.
        name: &'a [u8],
        /// 0, or the `offset` of the last entry received.
        offset: u64,
        /// The most bytes of entries wanted.
        count: u32,
    }
    /// Gives entries.
    RreaddirAttr<'r> = 209 {
        /// 1 if no entries follow, else 0.
        is_end: u8,
        /// Packed [`DirentAttr`]s.
        data: Data<'r>,
    }
}
