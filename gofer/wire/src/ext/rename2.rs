//! Renames with the flags of `renameat2(2)`.

use crate::message::exchange;

exchange! {
    /// Moves an entry.
    Trename2<'a> = 214 {
        /// The directory to move from.
        olddirfid: u32,
        /// The name there.
        oldname: &'a [u8],
        /// The directory to move to.
        newdirfid: u32,
        /// The name there.
        newname: &'a [u8],
        /// `RENAME_NOREPLACE`, `RENAME_EXCHANGE`.
        flags: u32,
    }
    /// Confirms.
    Rrename2 = 215 {}
}
