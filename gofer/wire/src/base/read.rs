//! Reads from an open file (`read(5)`).

use crate::codec::Data;
use crate::message::exchange;

exchange! {
    /// Reads at an offset.
    Tread = 116 {
        /// The open file.
        fid: u32,
        /// Where to read.
        offset: u64,
        /// How many bytes are wanted.
        count: u32,
    }
    /// The bytes; fewer than wanted at the end of the file.
    Rread<'r> = 117 {
        /// The contents.
        data: Data<'r>,
    }
}
