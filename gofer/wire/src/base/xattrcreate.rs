//! Opens an extended attribute for writing (`setxattr(2)`).

use crate::message::exchange;

exchange! {
    /// Makes `fid` a file to which the value is written; the clunk of it sets the attribute.
    Txattrcreate<'a> = 32 {
        /// The file that gets the attribute.
        fid: u32,
        /// The attribute's name.
        name: &'a [u8],
        /// The bytes that will be written; 0 removes the attribute.
        attr_size: u64,
        /// `XATTR_CREATE` or `XATTR_REPLACE`.
        flags: u32,
    }
    /// Confirms.
    Rxattrcreate = 33 {}
}
