//! Brings the server to the processor of its client.

use crate::message::exchange;

exchange! {
    /// Asks the server to run on one processor, that of a client that stays there and waits for each answer: waking a
    /// process on another processor, which must be idle then, takes several times as long as most requests do.
    TrunOn = 226 {
        /// The processor's number.
        processor: u32,
    }
    /// Confirms.
    RrunOn = 227 {}
}
