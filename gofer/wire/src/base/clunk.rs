//! Forgets a fid (`clunk(5)`).

use crate::message::exchange;

exchange! {
    /// Forgets a fid, closing what it has open.
    Tclunk = 120 {
        /// The fid, free for use again whatever the answer is.
        fid: u32,
    }
    /// Confirms.
    Rclunk = 121 {}
}
