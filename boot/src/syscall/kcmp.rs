//! `kcmp(2)`: whether two processes share something.

use std::cmp::Ordering;

use super::pidfd::may_look_into;
use super::{Int, ULong};
use crate::prelude::*;

const KCMP_FILE: Int = 0;
const KCMP_VM: Int = 1;
const KCMP_FILES: Int = 2;
const KCMP_FS: Int = 3;
const KCMP_SIGHAND: Int = 4;
const KCMP_IO: Int = 5;
const KCMP_SYSVSEM: Int = 6;

/// Handles `kcmp(pid1, pid2, kind, index1, index2)`: 0 if both are the same, otherwise 1 or 2, which order what is compared.
pub(super) fn sys_kcmp(
    cx: &mut SyscallCx<'_>,
    pid1: Int,
    pid2: Int,
    kind: Int,
    index1: ULong,
    index2: ULong,
) -> SyscallResult {
    let (one, other) = (find(cx, pid1)?, find(cx, pid2)?);
    let ended = || fail(errno::ESRCH, "the process has ended");
    let ordering = match kind {
        KCMP_FILE => compare(&file(&one, index1)?, &file(&other, index2)?),
        KCMP_VM => compare(&one.mm().ok_or_else(ended)?, &other.mm().ok_or_else(ended)?),
        KCMP_FILES => compare(&one.files().ok_or_else(ended)?, &other.files().ok_or_else(ended)?),
        KCMP_FS => compare(&one.fs(), &other.fs()),
        KCMP_SIGHAND => compare(&one.actions(), &other.actions()),
        // These are each thread's own here.
        KCMP_IO | KCMP_SYSVSEM => compare(&one, &other),
        _ => return Err(fail(errno::EINVAL, "unknown `type`")),
    };
    let result: u32 = match ordering {
        Ordering::Equal => 0,
        Ordering::Less => 1,
        Ordering::Greater => 2,
    };
    Ok(result.into())
}

fn find(cx: &SyscallCx<'_>, pid: Int) -> Result<Arc<Task>, Fail> {
    let task = cx.kernel().processes.task(cx.pid(pid)).ok_or(fail(errno::ESRCH, "no such process"))?;
    if Arc::ptr_eq(task.group(), cx.group()) || may_look_into(&cx.credentials(), &task.credentials()) {
        Ok(task)
    } else {
        Err(fail(errno::EPERM, "the process has another user"))
    }
}

fn file(task: &Task, fd: ULong) -> Result<Arc<crate::fs::OpenFile>, Fail> {
    let fd = i32::try_from(fd).ok();
    fd.and_then(|fd| task.files()?.get(fd)).ok_or(fail(errno::EBADF, "not open"))
}

/// Orders by the places in the kernel's memory, of which this tells nothing else.
fn compare<T>(one: &Arc<T>, other: &Arc<T>) -> Ordering {
    Arc::as_ptr(one).cmp(&Arc::as_ptr(other))
}
