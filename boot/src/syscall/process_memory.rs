//! `process_vm_readv(2)`, `process_vm_writev(2)`, `process_madvise(2)`.

use super::pidfd::may_look_into;
use super::{Address, Fd, Int, Size, UInt, ULong, madvise};
use crate::fs::{Sink, Source};
use crate::mm::{Mm, UserMemory};
use crate::prelude::*;
use crate::task::{Capabilities, Pid, PidFd};

/// How much is copied at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Handles `process_vm_readv(pid, local_iov, liovcnt, remote_iov, riovcnt, flags)`.
pub(super) fn sys_process_vm_readv(
    cx: &mut SyscallCx<'_>,
    pid: Int,
    local: Address,
    local_count: Size,
    remote: Address,
    remote_count: Size,
    flags: ULong,
) -> SyscallResult {
    check_flags(flags)?;
    let into = cx.memory().read_iovec(local, local_count)?;
    let from = cx.memory().read_iovec(remote, remote_count)?;
    let mut from = UserMemory::new(mm_of(cx, cx.pid(pid))?).source_of(from);
    copy(&mut from, &mut cx.memory().sink_of(into))
}

/// Handles `process_vm_writev(pid, local_iov, liovcnt, remote_iov, riovcnt, flags)`.
pub(super) fn sys_process_vm_writev(
    cx: &mut SyscallCx<'_>,
    pid: Int,
    local: Address,
    local_count: Size,
    remote: Address,
    remote_count: Size,
    flags: ULong,
) -> SyscallResult {
    check_flags(flags)?;
    let from = cx.memory().read_iovec(local, local_count)?;
    let into = cx.memory().read_iovec(remote, remote_count)?;
    let mut into = UserMemory::new(mm_of(cx, cx.pid(pid))?).sink_of(into);
    copy(&mut cx.memory().source_of(from), &mut into)
}

fn check_flags(flags: u64) -> Result<(), Fail> {
    if flags == 0 { Ok(()) } else { Err(fail(errno::EINVAL, "`flags` is not zero")) }
}

/// Returns the address space of the task `pid`, if the caller may look into it.
fn mm_of(cx: &SyscallCx<'_>, pid: Pid) -> Result<Arc<Mm>, Fail> {
    let gone = || fail(errno::ESRCH, "no such process");
    let task = cx.kernel().processes.task(pid).ok_or_else(gone)?;
    let is_own = Arc::ptr_eq(task.group(), cx.group());
    if !is_own {
        let is_hidden =
            !task.attributes.lock().is_dumpable && !cx.credentials().has(Capabilities::SYS_PTRACE);
        if is_hidden || !may_look_into(&cx.credentials(), &task.credentials()) {
            return Err(fail(errno::EPERM, "the process has another user, or hides its memory"));
        }
    }
    task.mm().ok_or_else(gone)
}

/// Copies until either side is full, empty, or not mapped.
fn copy(from: &mut dyn Source, into: &mut dyn Sink) -> SyscallResult {
    let mut buffer = vec![0; CHUNK_BYTES.min(from.remaining())];
    let mut total = 0;
    loop {
        let len = buffer.len().min(from.remaining()).min(into.remaining());
        let Some(chunk) = buffer.get_mut(..len).filter(|chunk| !chunk.is_empty()) else { break };
        let copied = from.read(chunk).and_then(|read| {
            let written = into.write(chunk.get(..read).unwrap_or_default())?;
            Ok((written, written == len))
        });
        match copied {
            Ok((written, is_whole)) => {
                total += written;
                if !is_whole {
                    break;
                }
            }
            Err(errno) if total == 0 => return Err(fail(errno, "the first byte can't be copied")),
            Err(_) => break,
        }
    }
    Ok(total.into())
}

/// Handles `process_madvise(pidfd, iovec, vlen, advice, flags)`.
pub(super) fn sys_process_madvise(
    cx: &mut SyscallCx<'_>,
    pidfd: Fd,
    vector: Address,
    count: Size,
    raw_advice: UInt,
    flags: UInt,
) -> SyscallResult {
    check_flags(flags.into())?;
    let ranges = cx.memory().read_iovec(vector, count)?;
    let file = cx.file(pidfd)?;
    let mm = mm_of(cx, PidFd::group_of(&file)?.tgid())?;
    let advice = madvise::advice_for_others(raw_advice)?;
    let mut total = 0;
    for range in &ranges {
        let pages = super::mmap::pages(Address(range.address), range.len as u64)?;
        if !pages.is_empty() {
            match mm.advise(pages, advice) {
                Err(failure) if total == 0 => return Err(failure),
                Err(_) => break,
                Ok(()) => {}
            }
        }
        total += range.len;
    }
    Ok(total.into())
}
