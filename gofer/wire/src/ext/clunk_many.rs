//! Forgets many fids at once.

use crate::codec::List;
use crate::message::exchange;

/// The most fids that one message may name.
pub const MAX_FIDS: usize = 1000;

exchange! {
    /// Forgets fids; those that are not in use are passed over.
    TclunkMany = 212 {
        /// The fids.
        fids: List<u32, MAX_FIDS>,
    }
    /// Confirms.
    RclunkMany = 213 {}
}
