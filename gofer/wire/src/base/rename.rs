//! Renames the file of a fid (`rename(2)`); the older form of `Trenameat`.

use crate::message::exchange;

exchange! {
    /// Moves a file.
    Trename<'a> = 20 {
        /// The file.
        fid: u32,
        /// The directory to move it to.
        dfid: u32,
        /// Its new name.
        name: &'a [u8],
    }
    /// Confirms.
    Rrename = 21 {}
}
