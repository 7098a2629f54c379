//! Lists the extended attributes (`listxattr(2)`).

use crate::codec::Data;
use crate::message::exchange;

exchange! {
    /// Asks for the names.
    Tlistxattr = 220 {
        /// The file.
        fid: u32,
    }
    /// Answers.
    Rlistxattr<'r> = 221 {
        /// The names, each ended by a zero byte.
        names: Data<'r>,
    }
}
