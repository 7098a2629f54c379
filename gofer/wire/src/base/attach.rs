//! Makes a fid for the root of a served tree (`attach(5)`).

use crate::message::exchange;
use crate::qid::Qid;

exchange! {
    /// Attaches to a tree.
    Tattach<'a> = 104 {
        /// The new fid for the root.
        fid: u32,
        /// The fid of an authentication, or [`crate::NO_FID`].
        afid: u32,
        /// The user's name.
        uname: &'a [u8],
        /// The tree to attach to.
        aname: &'a [u8],
        /// The user's number, or [`crate::NO_UID`].
        n_uname: u32,
    }
    /// Says what the root is.
    Rattach = 105 {
        /// The root.
        qid: Qid,
    }
}
