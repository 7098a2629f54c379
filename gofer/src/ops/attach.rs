//! `Tattach`, `Tauth` and `Tflush`.

use std::rc::Rc;

use cloister_9p::NO_UID;
use cloister_9p::base::attach::{Rattach, Tattach};
use cloister_9p::base::auth::Tauth;
use cloister_9p::base::flush::{Rflush, Tflush};
use cloister_9p::base::lerror::Rlerror;
use rustix::io::Errno;

use crate::Result;
use crate::fid::Fid;
use crate::session::{Answer, Session};

impl Session {
    /// Says that there is nothing to authenticate: who holds the socket is trusted with the tree.
    ///
    /// An error without a number is how diod's server says it and what diod's tools insist on.
    pub(crate) fn auth(_request: &Tauth<'_>, answer: &mut Answer<'_>) -> Result<()> {
        answer.with(&Rlerror { ecode: 0 })
    }

    /// Gives a fid for the root.
    ///
    /// The client's kernel checks permissions; the user named here only owns what is made by the standard's requests,
    /// which have no field for the owner.
    pub(crate) fn attach(&mut self, request: &Tattach<'_>, answer: &mut Answer<'_>) -> Result<()> {
        if !self.tree.is_named(request.aname) {
            return Err(Errno::NOENT);
        }
        let root = Rc::clone(self.tree.root());
        let attr = root.attr()?;
        let uid = (request.n_uname != NO_UID).then_some(request.n_uname);
        self.fids.insert(request.fid, Fid::new(root, uid))?;
        answer.with(&Rattach { qid: self.qid(&attr) })
    }

    /// Confirms: requests are answered in order, so the one to cancel was answered.
    pub(crate) fn flush(_request: &Tflush, answer: &mut Answer<'_>) -> Result<()> {
        answer.with(&Rflush {})
    }
}
