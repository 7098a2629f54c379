//! Opens an extended attribute, or the list of them, for reading (`getxattr(2)`, `listxattr(2)`).

use crate::message::exchange;

exchange! {
    /// Makes `newfid` a file from which the value can be read.
    Txattrwalk<'a> = 30 {
        /// The file that has the attribute.
        fid: u32,
        /// The fid for the value.
        newfid: u32,
        /// The attribute's name; empty for the list of all names.
        name: &'a [u8],
    }
    /// Says how long the value is.
    Rxattrwalk = 31 {
        /// Bytes of the value.
        size: u64,
    }
}
