//! Reads an extended attribute (`getxattr(2)`).

use crate::codec::Data;
use crate::message::exchange;

exchange! {
    /// Asks for the value.
    Tgetxattr<'a> = 216 {
        /// The file.
        fid: u32,
        /// The attribute.
        name: &'a [u8],
    }
    /// Answers.
    Rgetxattr<'r> = 217 {
        /// The value.
        value: Data<'r>,
    }
}
