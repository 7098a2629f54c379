//! Makes a symbolic link (`symlink(2)`).

use crate::message::exchange;
use crate::qid::Qid;

exchange! {
    /// Makes a symbolic link.
    Tsymlink<'a> = 16 {
        /// The directory.
        dfid: u32,
        /// The link's name.
        name: &'a [u8],
        /// What the link holds.
        target: &'a [u8],
        /// The link's group.
        gid: u32,
    }
    /// Confirms.
    Rsymlink = 17 {
        /// The link.
        qid: Qid,
    }
}
