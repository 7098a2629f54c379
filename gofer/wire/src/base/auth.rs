//! Starts an authentication (`attach(5)`); the gofer asks for none and refuses it.

use crate::message::exchange;
use crate::qid::Qid;

exchange! {
    /// Asks for a fid by which to authenticate.
    Tauth<'a> = 102 {
        /// The fid for the authentication.
        afid: u32,
        /// The user's name.
        uname: &'a [u8],
        /// The tree to attach to.
        aname: &'a [u8],
        /// The user's number (9P2000.u and later).
        n_uname: u32,
    }
    /// Gives the fid.
    Rauth = 103 {
        /// The authentication file.
        aqid: Qid,
    }
}
