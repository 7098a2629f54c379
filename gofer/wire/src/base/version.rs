//! Negotiates the protocol version and the largest message (`version(5)`).

use crate::message::exchange;

exchange! {
    /// Offers a version. Starts the session anew: every fid of the connection is forgotten.
    Tversion<'a> = 100 {
        /// The largest message that the client can take.
        msize: u32,
        /// The version offered, such as `9P2000.L`.
        version: &'a [u8],
    }
    /// Settles the version.
    Rversion<'r> = 101 {
        /// The largest message of the session, at most what the client offered.
        msize: u32,
        /// The version of the session, or `unknown`.
        version: &'r [u8],
    }
}
