//! Cancels a request (`flush(5)`).

use crate::message::exchange;

exchange! {
    /// Asks that a request be given up.
    Tflush = 108 {
        /// The tag of the request.
        oldtag: u16,
    }
    /// Says that no answer to that request follows.
    Rflush = 109 {}
}
