//! Removes an entry of a directory (`unlinkat(2)`).

use crate::message::exchange;

exchange! {
    /// Removes an entry.
    Tunlinkat<'a> = 76 {
        /// The directory.
        dirfid: u32,
        /// The entry.
        name: &'a [u8],
        /// `AT_REMOVEDIR` (0x200) for a directory.
        flags: u32,
    }
    /// Confirms.
    Runlinkat = 77 {}
}
