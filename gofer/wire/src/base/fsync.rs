//! Puts a file to stable storage (`fsync(2)`).

use crate::message::exchange;

exchange! {
    /// Asks for it.
    Tfsync = 50 {
        /// The file.
        fid: u32,
        /// Not 0 for `fdatasync(2)`.
        datasync: u32,
    }
    /// Confirms.
    Rfsync = 51 {}
}
