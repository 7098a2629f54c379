//! Puts a whole file system to stable storage (`syncfs(2)`).

use crate::message::exchange;

exchange! {
    /// Asks for it.
    Tsyncfs = 224 {
        /// Any file or directory in it.
        fid: u32,
    }
    /// Confirms.
    Rsyncfs = 225 {}
}
