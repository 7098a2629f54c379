//! `TrunOn`.

use cloister_9p::ext::run_on::{RrunOn, TrunOn};
use rustix::io::Errno;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Result;
use crate::session::{Answer, Session};

impl Session {
    /// Stays on the processor that the client names, of those that the host allows.
    pub(crate) fn run_on(request: &TrunOn, answer: &mut Answer<'_>) -> Result<()> {
        let processor = usize::try_from(request.processor).map_err(|_| Errno::INVAL)?;
        if processor >= CpuSet::MAX_CPU {
            return Err(Errno::INVAL);
        }
        let mut only = CpuSet::new();
        only.set(processor);
        sched_setaffinity(None, &only)?;
        answer.with(&RrunOn {})
    }
}
