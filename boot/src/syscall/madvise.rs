//! `madvise(2)`, `msync(2)`, `mincore(2)`, `mlock(2)` and its neighbours.

use linux_raw_sys::general as raw;

use super::mmap::{check_may_lock, pages, pages_around};
use super::{Address, Int, UInt, ULong};
use crate::mm::{Advice, LockAll, Only, PAGE_BYTES, VmaFlags};
use crate::prelude::*;

/// Handles `madvise(addr, length, advice)`.
pub(super) fn sys_madvise(
    cx: &mut SyscallCx<'_>,
    address: Address,
    raw_len: ULong,
    raw_advice: UInt,
) -> SyscallResult {
    let advice = advice(raw_advice)?;
    let range = pages(address, raw_len)?;
    if !range.is_empty() {
        cx.mm().advise(range, advice)?;
    }
    Ok(Outcome::OK)
}

/// Returns what a piece of advice changes.
fn advice(raw_advice: u32) -> Result<Advice, Fail> {
    let host = i32::try_from(raw_advice).map_err(|_| fail(errno::EINVAL, "`advice` is not known"))?;
    let set = |flag| Advice::Flags { set: flag, clear: VmaFlags::empty(), host: Some(host) };
    let clear = |flag| Advice::Flags { set: VmaFlags::empty(), clear: flag, host: Some(host) };
    let pages = |only| Advice::Pages { host, only };
    Ok(match raw_advice {
        raw::MADV_NORMAL | raw::MADV_RANDOM | raw::MADV_SEQUENTIAL | raw::MADV_WILLNEED => Advice::Nothing,
        raw::MADV_DONTNEED => pages(Only::Unlocked),
        raw::MADV_DONTNEED_LOCKED | raw::MADV_COLD | raw::MADV_PAGEOUT => pages(Only::Any),
        raw::MADV_POPULATE_READ | raw::MADV_POPULATE_WRITE | raw::MADV_COLLAPSE => pages(Only::Any),
        raw::MADV_FREE => pages(Only::Anonymous),
        raw::MADV_REMOVE => pages(Only::SharedWritable),
        raw::MADV_DONTFORK => set(VmaFlags::DONT_FORK),
        raw::MADV_DOFORK => clear(VmaFlags::DONT_FORK),
        raw::MADV_WIPEONFORK => set(VmaFlags::WIPE_ON_FORK),
        raw::MADV_KEEPONFORK => clear(VmaFlags::WIPE_ON_FORK),
        raw::MADV_HUGEPAGE => {
            Advice::Flags { set: VmaFlags::HUGE_PAGES, clear: VmaFlags::NO_HUGE_PAGES, host: Some(host) }
        }
        raw::MADV_NOHUGEPAGE => {
            Advice::Flags { set: VmaFlags::NO_HUGE_PAGES, clear: VmaFlags::HUGE_PAGES, host: Some(host) }
        }
        raw::MADV_DONTDUMP => {
            Advice::Flags { set: VmaFlags::DONT_DUMP, clear: VmaFlags::empty(), host: None }
        }
        raw::MADV_DODUMP => Advice::Flags { set: VmaFlags::empty(), clear: VmaFlags::DONT_DUMP, host: None },
        raw::MADV_HWPOISON | raw::MADV_SOFT_OFFLINE => {
            return Err(fail(errno::EPERM, "memory errors can't be injected"));
        }
        _ => return Err(fail(errno::EINVAL, "`advice` is not known")),
    })
}

/// Returns what a piece of advice changes that a task gives for another: only such as changes no contents.
///
/// # Errors
///
/// `EINVAL` for all other advice.
pub(super) fn advice_for_others(raw_advice: u32) -> Result<Advice, Fail> {
    match raw_advice {
        raw::MADV_COLD | raw::MADV_PAGEOUT | raw::MADV_WILLNEED | raw::MADV_COLLAPSE => advice(raw_advice),
        _ => Err(fail(errno::EINVAL, "not advice for another process")),
    }
}

/// Handles `msync(addr, length, flags)`.
pub(super) fn sys_msync(
    cx: &mut SyscallCx<'_>,
    address: Address,
    raw_len: ULong,
    flags: UInt,
) -> SyscallResult {
    if flags & !(raw::MS_ASYNC | raw::MS_INVALIDATE | raw::MS_SYNC) != 0
        || flags & (raw::MS_ASYNC | raw::MS_SYNC) == raw::MS_ASYNC | raw::MS_SYNC
    {
        return Err(fail(errno::EINVAL, "`flags` is not one of the kinds"));
    }
    let range = pages(address, raw_len)?;
    if range.is_empty() {
        return Ok(Outcome::OK);
    }
    let (mappings, is_covered) = cx.mm().overlapping(&range);
    for (_, vma) in mappings {
        if flags & raw::MS_INVALIDATE != 0 && vma.flags.contains(VmaFlags::LOCKED) {
            return Err(fail(errno::EBUSY, "locked memory can't be invalidated"));
        }
        let file = vma.object().and_then(|(object, _)| object.file());
        if let Some(file) = file.filter(|_| flags & raw::MS_SYNC != 0 && vma.is_shared()) {
            match file.ops().sync(false) {
                // A file in memory.
                Ok(()) | Err(errno::EINVAL) => {}
                Err(errno) => return Err(fail(errno, "the file can't be written back")),
            }
        }
    }
    if is_covered { Ok(Outcome::OK) } else { Err(fail(errno::ENOMEM, "not all of it is mapped")) }
}

/// Handles `mincore(addr, length, vec)`. What the host has in memory is not told to guests: all pages are.
pub(super) fn sys_mincore(
    cx: &mut SyscallCx<'_>,
    address: Address,
    raw_len: ULong,
    vector: Address,
) -> SyscallResult {
    let range = pages(address, raw_len).map_err(|failure| match failure.is(errno::EINVAL) {
        true if crate::mm::is_page(address.0) => fail(errno::ENOMEM, "the range wraps"),
        _ => failure,
    })?;
    if range.is_empty() {
        return Ok(Outcome::OK);
    }
    if !cx.mm().covers(&range) {
        return Err(fail(errno::ENOMEM, "not all of it is mapped"));
    }
    let ones = [1_u8; 4096];
    let (mut left, mut at) = ((range.end - range.start) / PAGE_BYTES, vector.0);
    while left > 0 {
        let part = left.min(ones.len() as u64);
        let bytes = usize::try_from(part).ok().and_then(|part| ones.get(..part)).unwrap_or(&ones);
        cx.memory().write_bytes(Address(at), bytes)?;
        (left, at) = (left - part, at.wrapping_add(part));
    }
    Ok(Outcome::OK)
}

/// Handles `mlock(addr, len)`.
pub(super) fn sys_mlock(cx: &mut SyscallCx<'_>, address: Address, raw_len: ULong) -> SyscallResult {
    lock(cx, address, raw_len, 0)
}

/// Handles `mlock2(addr, len, flags)`.
pub(super) fn sys_mlock2(
    cx: &mut SyscallCx<'_>,
    address: Address,
    raw_len: ULong,
    flags: UInt,
) -> SyscallResult {
    if flags & !raw::MLOCK_ONFAULT != 0 {
        return Err(fail(errno::EINVAL, "a flag is not known"));
    }
    lock(cx, address, raw_len, flags)
}

fn lock(cx: &SyscallCx<'_>, address: Address, raw_len: u64, flags: u32) -> SyscallResult {
    check_may_lock(cx)?;
    let range = pages_around(address, raw_len)?;
    if !range.is_empty() {
        cx.mm().lock_range(range.clone())?;
        if flags & raw::MLOCK_ONFAULT == 0 {
            cx.mm().populate(range);
        }
    }
    Ok(Outcome::OK)
}

/// Handles `munlock(addr, len)`.
pub(super) fn sys_munlock(cx: &mut SyscallCx<'_>, address: Address, raw_len: ULong) -> SyscallResult {
    let range = pages_around(address, raw_len)?;
    if !range.is_empty() {
        cx.mm().unlock_range(range)?;
    }
    Ok(Outcome::OK)
}

/// Handles `mlockall(flags)`.
pub(super) fn sys_mlockall(cx: &mut SyscallCx<'_>, flags: Int) -> SyscallResult {
    let flags = flags.cast_unsigned();
    let (current, future) = (flags & raw::MCL_CURRENT != 0, flags & raw::MCL_FUTURE != 0);
    if flags & !(raw::MCL_CURRENT | raw::MCL_FUTURE | raw::MCL_ONFAULT) != 0 {
        return Err(fail(errno::EINVAL, "a flag is not known"));
    }
    let what = match (current, future) {
        (true, true) => LockAll::Both,
        (true, false) => LockAll::Current,
        (false, true) => LockAll::Future,
        (false, false) => return Err(fail(errno::EINVAL, "neither current nor future memory")),
    };
    check_may_lock(cx)?;
    cx.mm().lock_all(what)?;
    Ok(Outcome::OK)
}

/// Handles `munlockall()`.
pub(super) fn sys_munlockall(cx: &mut SyscallCx<'_>) -> SyscallResult {
    cx.mm().unlock_all();
    Ok(Outcome::OK)
}
