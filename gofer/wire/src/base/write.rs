//! Writes to an open file (`read(5)`).

use crate::codec::Data;
use crate::message::exchange;

exchange! {
    /// Writes at an offset.
    Twrite<'a> = 118 {
        /// The open file.
        fid: u32,
        /// Where to write.
        offset: u64,
        /// The contents.
        data: Data<'a>,
    }
    /// Says how many bytes were written.
    Rwrite = 119 {
        /// The number of bytes.
        count: u32,
    }
}
