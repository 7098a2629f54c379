//! Renames an entry of a directory (`renameat(2)`).

use crate::message::exchange;

exchange! {
    /// Moves an entry.
    Trenameat<'a> = 74 {
        /// The directory to move from.
        olddirfid: u32,
        /// The name there.
        oldname: &'a [u8],
        /// The directory to move to.
        newdirfid: u32,
        /// The name there.
        newname: &'a [u8],
    }
    /// Confirms.
    Rrenameat = 75 {}
}
