//! Lists a directory with the attributes of every entry.

use crate::attr::Attr;
use crate::codec::{Data, struct_field};
use crate::message::exchange;

/// An entry of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirentAttr<'a> {
    /// The file's attributes.
    pub attr: Attr,
    /// Where the listing goes on after this entry.
    pub offset: u64,
    /// The entry's name.
    pub name: &'a [u8],
}
struct_field!(DirentAttr<'a> { attr, offset, name });

exchange! {
    /// Asks for entries. The fid need not be open, and the listing has no state but the offset.
    TreaddirAttr = 208 {
        /// The directory.
        fid: u32,
        /// 0, or the `offset` of the last entry received.
        offset: u64,
        /// The most bytes of entries wanted.
        count: u32,
    }
    /// Gives entries, none at the end of the directory.
    RreaddirAttr<'r> = 209 {
        /// Packed [`DirentAttr`]s.
        data: Data<'r>,
    }
}
