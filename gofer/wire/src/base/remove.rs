//! Removes a file by its fid (`remove(5)`).

use crate::message::exchange;

exchange! {
    /// Removes the file and forgets the fid, even if the removal fails.
    Tremove = 122 {
        /// The file.
        fid: u32,
    }
    /// Confirms.
    Rremove = 123 {}
}
