//! Sets an extended attribute (`setxattr(2)`).

use crate::codec::Data;
use crate::message::exchange;

exchange! {
    /// Sets the value.
    Tsetxattr<'a> = 218 {
        /// The file.
        fid: u32,
        /// The attribute.
        name: &'a [u8],
        /// The value.
        value: Data<'a>,
        /// `XATTR_CREATE` or `XATTR_REPLACE`.
        flags: u32,
    }
    /// Confirms.
    Rsetxattr = 219 {}
}
