//! Follows names from a directory (`walk(5)`).

use crate::codec::List;
use crate::message::exchange;
use crate::qid::Qid;

exchange! {
    /// Walks from `fid` and, if every name was found, makes `newfid` stand for the last.
    Twalk<'a> = 110 {
        /// Where to start.
        fid: u32,
        /// The fid for the end; may be `fid` itself.
        newfid: u32,
        /// The names, none for a copy of `fid`.
        names: List<&'a [u8], { crate::MAX_WALK }>,
    }
    /// Says what was found; fewer than asked if a later name is missing.
    Rwalk = 111 {
        /// The files walked.
        qids: List<Qid, { crate::MAX_WALK }>,
    }
}
