//! Makes a hard link (`link(2)`).

use crate::message::exchange;

exchange! {
    /// Makes a link.
    Tlink<'a> = 70 {
        /// The directory.
        dfid: u32,
        /// The file to link to.
        fid: u32,
        /// The link's name.
        name: &'a [u8],
    }
    /// Confirms.
    Rlink = 71 {}
}
