//! Used resources: `getrusage(2)`, `times(2)`.

use cloister_abi::time::Timeval;
use cloister_platform::CpuTime;
use zerocopy::{Immutable, IntoBytes};

use super::{Address, Int};
use crate::prelude::*;
use crate::time;

const RUSAGE_SELF: Int = 0;
const RUSAGE_CHILDREN: Int = -1;
const RUSAGE_THREAD: Int = 1;

/// `struct rusage`; what is not counted is zero.
#[derive(Clone, Copy, Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Rusage {
    user: Timeval,
    system: Timeval,
    max_resident_kib: i64,
    rest: [i64; 13],
}

impl From<CpuTime> for Rusage {
    fn from(used: CpuTime) -> Self {
        Self { user: time::timeval(used.user), system: time::timeval(used.system), ..Self::default() }
    }
}

/// Handles `getrusage(who, usage)`.
pub(super) fn sys_getrusage(cx: &mut SyscallCx<'_>, who: Int, usage: Address) -> SyscallResult {
    let used = match who {
        RUSAGE_SELF => cx.group().cpu_time(cx.kernel()),
        RUSAGE_CHILDREN => cx.group().state().children_time,
        RUSAGE_THREAD => cx.task.cpu_time(),
        _ => return Err(fail(errno::EINVAL, "unknown `who`")),
    };
    let mut rusage = Rusage::from(used);
    if who != RUSAGE_CHILDREN {
        // What is resident is known only to the host; this is the most that can be.
        rusage.max_resident_kib = i64::try_from(cx.mm().totals().accessible / 1024).unwrap_or(i64::MAX);
    }
    cx.memory().write(usage, &rusage)?;
    Ok(Outcome::OK)
}

/// Handles `times(buf)`.
pub(super) fn sys_times(cx: &mut SyscallCx<'_>, buf: Address) -> SyscallResult {
    let own = cx.group().cpu_time(cx.kernel());
    let children = cx.group().state().children_time;
    let times = [own.user, own.system, children.user, children.system].map(time::ticks);
    cx.memory().write_if(buf, &times)?;
    Ok(time::ticks(cx.kernel().clock.boottime()).into())
}
