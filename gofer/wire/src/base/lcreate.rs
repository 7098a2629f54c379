//! Creates and opens a regular file (`open(2)` with `O_CREAT`).

use crate::message::exchange;
use crate::qid::Qid;

exchange! {
    /// Creates a file in the directory of a fid; the fid then stands for the open file.
    Tlcreate<'a> = 14 {
        /// The directory.
        fid: u32,
        /// The file's name.
        name: &'a [u8],
        /// Linux' open flags.
        flags: u32,
        /// The permission bits.
        mode: u32,
        /// The file's group.
        gid: u32,
    }
    /// Confirms.
    Rlcreate = 15 {
        /// The file.
        qid: Qid,
        /// The most bytes of an atomic read or write; 0 for no promise.
        iounit: u32,
    }
}
