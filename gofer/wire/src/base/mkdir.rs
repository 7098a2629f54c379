//! Makes a directory (`mkdir(2)`).

use crate::message::exchange;
use crate::qid::Qid;

exchange! {
    /// Makes a directory.
    Tmkdir<'a> = 72 {
        /// The directory to make it in.
        dfid: u32,
        /// The directory's name.
        name: &'a [u8],
        /// The permission bits.
        mode: u32,
        /// The directory's group.
        gid: u32,
    }
    /// Confirms.
    Rmkdir = 73 {
        /// The directory.
        qid: Qid,
    }
}
