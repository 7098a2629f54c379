//! The start of strict mode, and new filters.

use std::sync::Arc;

use super::{Filter, Filters, Mode};
use crate::context::SyscallCx;
use crate::error::{Fail, fail};
use crate::prelude::errno;
use crate::task::{Credentials, Pid, Task};

/// Whether the other threads of the process get the filters too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    /// The caller only.
    Caller,
    /// All threads (`SECCOMP_FILTER_FLAG_TSYNC`).
    AllThreads,
}

/// Puts the caller in strict mode.
///
/// # Errors
///
/// `EINVAL` if it is in filter mode.
pub(crate) fn set_strict(cx: &SyscallCx<'_>) -> Result<(), Fail> {
    let _tree = cx.kernel().processes.lock();
    match cx.task.seccomp.mode() {
        Mode::Filter(_) => Err(fail(errno::EINVAL, "the caller has filters")),
        Mode::Disabled | Mode::Strict => {
            cx.task.seccomp.set(Mode::Strict);
            Ok(())
        }
    }
}

/// Gives the caller another filter. Returns the thread that could not be given the caller's filters, since it has others;
/// then nothing has changed.
///
/// # Errors
///
/// `EINVAL` if the caller is in strict mode; `ENOMEM` if it would have too many filters.
pub(crate) fn install(cx: &SyscallCx<'_>, filter: Filter, sync: Sync) -> Result<Option<Pid>, Fail> {
    let tree = cx.kernel().processes.lock();
    let old = match cx.task.seccomp.mode() {
        Mode::Disabled => Arc::new(Filters::new(Vec::new())?),
        Mode::Filter(filters) => filters,
        Mode::Strict => return Err(fail(errno::EINVAL, "the caller is in strict mode")),
    };
    let process = tree.process(cx.group().tgid()).filter(|_| sync == Sync::AllThreads);
    let all = process.map(|process| process.tasks.as_slice()).unwrap_or_default();
    let others = || all.iter().filter(|task| !Arc::ptr_eq(task, cx.task));
    let is_other = |task: &&Arc<Task>| match task.seccomp.mode() {
        Mode::Disabled => false,
        Mode::Filter(filters) => !filters.is_ancestor_of(&old),
        Mode::Strict => true,
    };
    if let Some(task) = others().find(is_other) {
        return Ok(Some(task.tid()));
    }
    let mode = Mode::Filter(Arc::new(old.with(Arc::new(filter))?));
    let no_new_privileges = cx.credentials().no_new_privileges;
    for task in others() {
        task.seccomp.set(mode.clone());
        if no_new_privileges {
            let mut parts = task.parts();
            parts.credentials = Arc::new(Credentials { no_new_privileges, ..(*parts.credentials).clone() });
        }
    }
    cx.task.seccomp.set(mode);
    Ok(None)
}
