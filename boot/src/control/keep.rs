//! `Keep`: the sandbox outlives who started it.

use cloister_proto::control::{ErrorKind, Failure};
use rustix::process::set_parent_process_death_signal;

/// Has this process live on when its parent ends (`prctl(2)`, `PR_SET_PDEATHSIG`).
///
/// The signal is an attribute of the thread that was forked, which is the one that handles requests.
pub(super) fn keep() -> Result<(), Failure> {
    set_parent_process_death_signal(None).map_err(|errno| {
        Failure::new(ErrorKind::Internal, format!("cannot live on without a parent: {errno}"))
    })
}
