//! Lists a directory (`getdents64(2)`).

use crate::codec::{Data, struct_field};
use crate::message::exchange;
use crate::qid::Qid;

/// An entry of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dirent<'a> {
    /// The file.
    pub qid: Qid,
    /// Where the listing goes on after this entry.
    pub offset: u64,
    /// The file type as `DT_*` of `readdir(3)`.
    pub kind: u8,
    /// The entry's name.
    pub name: &'a [u8],
}
struct_field!(Dirent<'a> { qid, offset, kind, name });

exchange! {
    /// Asks for entries.
    Treaddir = 40 {
        /// The open directory.
        fid: u32,
        /// 0, or the `offset` of the last entry received.
        offset: u64,
        /// The most bytes of entries wanted.
        count: u32,
    }
    /// Gives entries, none at the end of the directory.
    Rreaddir<'r> = 41 {
        /// Packed [`Dirent`]s.
        data: Data<'r>,
    }
}
