//! Removes an extended attribute (`removexattr(2)`).

use crate::message::exchange;

exchange! {
    /// Removes the attribute.
    Tremovexattr<'a> = 222 {
        /// The file.
        fid: u32,
        /// The attribute.
        name: &'a [u8],
    }
    /// Confirms.
    Rremovexattr = 223 {}
}
