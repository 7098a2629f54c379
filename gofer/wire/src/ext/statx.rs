//! Asks for a file's attributes, with the device and the creation time that `Tgetattr` lacks.

use crate::attr::Attr;
use crate::message::exchange;

exchange! {
    /// Asks for attributes.
    Tstatx = 210 {
        /// The file.
        fid: u32,
    }
    /// Answers.
    Rstatx = 211 {
        /// The attributes.
        attr: Attr,
    }
}
