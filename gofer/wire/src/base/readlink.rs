//! Reads a symbolic link (`readlink(2)`).

use crate::message::exchange;

exchange! {
    /// Asks what the link holds.
    Treadlink = 22 {
        /// The link.
        fid: u32,
    }
    /// Answers.
    Rreadlink<'r> = 23 {
        /// What the link holds.
        target: &'r [u8],
    }
}
