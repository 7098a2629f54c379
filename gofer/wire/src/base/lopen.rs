//! Opens a file (`open(2)`).

use crate::message::exchange;
use crate::qid::Qid;

exchange! {
    /// Opens the file of a fid, which from then on is an open file.
    Tlopen = 12 {
        /// The file.
        fid: u32,
        /// Linux' open flags.
        flags: u32,
    }
    /// Confirms.
    Rlopen = 13 {
        /// The file.
        qid: Qid,
        /// The most bytes of an atomic read or write; 0 for no promise.
        iounit: u32,
    }
}
