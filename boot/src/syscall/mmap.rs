//! `mmap(2)`, `munmap(2)`, `mprotect(2)`, `mremap(2)`, `brk(2)`.

use cloister_platform::Protection;

use super::{Address, Fd, UInt, ULong};
use crate::fs::{FileCx, MapSource, MountFlags, OpenFile};
use crate::mm::{
    self, Extend, MemoryObject, Move, ObjectOwner, OldPlace, PAGE_BYTES, Placement, Vma, VmaBacking, VmaFlags,
};
use crate::prelude::*;
use crate::task::Capabilities;

/// The flags that `MAP_SHARED_VALIDATE` knows; others are ignored by the older types.
const KNOWN_FLAGS: u32 = uapi::MAP_TYPE
    | uapi::MAP_FIXED
    | uapi::MAP_ANONYMOUS
    | uapi::MAP_32BIT
    | uapi::MAP_GROWSDOWN
    | uapi::MAP_DENYWRITE
    | uapi::MAP_EXECUTABLE
    | uapi::MAP_LOCKED
    | uapi::MAP_NORESERVE
    | uapi::MAP_POPULATE
    | uapi::MAP_NONBLOCK
    | uapi::MAP_STACK
    | uapi::MAP_FIXED_NOREPLACE;

/// Handles `mmap(addr, length, prot, flags, fd, offset)`.
pub(super) fn sys_mmap(
    cx: &mut SyscallCx<'_>,
    address: Address,
    raw_len: ULong,
    raw_protection: ULong,
    flags: UInt,
    fd: Fd,
    offset: ULong,
) -> SyscallResult {
    if !mm::is_page(offset) {
        return Err(fail(errno::EINVAL, "`offset` is not a multiple of the page size"));
    }
    let file = if flags & uapi::MAP_ANONYMOUS == 0 { Some(cx.file(fd)?) } else { None };
    if raw_len == 0 {
        return Err(fail(errno::EINVAL, "`length` is zero"));
    }
    let len = mm::page_up(raw_len).ok_or(fail(errno::ENOMEM, "`length` is too large"))?;
    offset.checked_add(len).ok_or(fail(errno::EOVERFLOW, "the end is behind the largest file"))?;
    if flags & uapi::MAP_HUGETLB != 0 {
        let errno = if file.is_some() { errno::EINVAL } else { errno::ENOMEM };
        return Err(fail(errno, "there are no huge pages"));
    }
    if flags & uapi::MAP_LOCKED != 0 {
        check_may_lock(cx)?;
    }
    let is_shared = is_shared(flags, file.is_some())?;
    let protection = Protection::from_bits_truncate(low_bits(raw_protection));
    let mut vma = match &file {
        Some(file) => file_vma(cx, file, protection, is_shared, offset)?,
        None => Vma::anonymous(protection, VmaFlags::empty()),
    };
    vma.flags.set(VmaFlags::SHARED, is_shared);
    vma.flags.set(VmaFlags::NO_RESERVE, flags & uapi::MAP_NORESERVE != 0);
    vma.flags.set(VmaFlags::LOCKED, flags & uapi::MAP_LOCKED != 0);
    if flags & uapi::MAP_GROWSDOWN != 0 {
        if is_shared || file.is_some() {
            return Err(fail(errno::EINVAL, "only private anonymous memory can grow"));
        }
        vma.flags |= VmaFlags::GROWS_DOWN;
    }
    if is_shared && vma.object().is_none() {
        let object = MemoryObject::with_len(len, ObjectOwner::Anonymous)?;
        vma.backing = VmaBacking::Object { object, offset: 0 };
    }
    let start = cx.mm().map(placement(flags, address), len, vma)?;
    let touches = flags & (uapi::MAP_POPULATE | uapi::MAP_NONBLOCK) == uapi::MAP_POPULATE;
    if touches || flags & uapi::MAP_LOCKED != 0 {
        cx.mm().populate(start..start + len);
    }
    Ok(start.into())
}

/// Returns whether the type in `flags` is a shared one.
fn is_shared(flags: u32, has_file: bool) -> Result<bool, Fail> {
    match flags & uapi::MAP_TYPE {
        uapi::MAP_PRIVATE => Ok(false),
        uapi::MAP_SHARED => Ok(true),
        uapi::MAP_SHARED_VALIDATE if has_file => {
            if flags & !KNOWN_FLAGS != 0 {
                return Err(fail(errno::EOPNOTSUPP, "a flag is not known"));
            }
            Ok(true)
        }
        _ => Err(fail(errno::EINVAL, "neither private nor shared")),
    }
}

fn placement(flags: u32, Address(address): Address) -> Placement {
    if flags & uapi::MAP_FIXED_NOREPLACE != 0 {
        Placement::FixedNoReplace(address)
    } else if flags & uapi::MAP_FIXED != 0 {
        Placement::Fixed(address)
    } else if flags & uapi::MAP_32BIT != 0 {
        Placement::Low(address)
    } else {
        Placement::Anywhere(address)
    }
}

/// Returns a mapping of `file`, if it may be mapped so.
fn file_vma(
    cx: &SyscallCx<'_>,
    file: &Arc<OpenFile>,
    protection: Protection,
    is_shared: bool,
    offset: u64,
) -> Result<Vma, Fail> {
    let mut vma = Vma::anonymous(protection, VmaFlags::empty());
    let flags = file.flags();
    if !flags.is_readable() {
        return Err(fail(errno::EACCES, "the file is not open for reading"));
    }
    if is_shared && !flags.is_writable() {
        vma.max_protection.remove(Protection::WRITE);
    }
    if !vma.max_protection.contains(protection) {
        return Err(fail(errno::EACCES, "the file is not open for writing"));
    }
    if file.path().mount.flags().contains(MountFlags::NO_EXECUTE) {
        vma.max_protection.remove(Protection::EXECUTE);
    }
    if !vma.max_protection.contains(protection) {
        return Err(fail(errno::EPERM, "the file is mounted with `noexec`"));
    }
    let source = file.ops().map(&FileCx { task: cx.task, file });
    if let MapSource::Host(host) = source.map_err(|errno| fail(errno, "the file can't be mapped"))? {
        let object = MemoryObject::of_file(host, Arc::clone(file))?;
        vma.backing = VmaBacking::Object { object, offset };
    }
    Ok(vma)
}

/// Checks that the caller may lock memory at all.
///
/// # Errors
///
/// `EPERM` if not.
pub(super) fn check_may_lock(cx: &SyscallCx<'_>) -> Result<(), Fail> {
    if cx.mm().limits().locked == 0 && !cx.credentials().has(Capabilities::IPC_LOCK) {
        return Err(fail(errno::EPERM, "RLIMIT_MEMLOCK is zero"));
    }
    Ok(())
}

fn low_bits(value: u64) -> u8 {
    value.to_le_bytes()[0]
}

/// Handles `munmap(addr, length)`.
pub(super) fn sys_munmap(cx: &mut SyscallCx<'_>, Address(start): Address, raw_len: ULong) -> SyscallResult {
    if !mm::is_page(start) || raw_len == 0 {
        return Err(fail(errno::EINVAL, "not whole pages"));
    }
    let len = mm::page_up(raw_len).ok_or(fail(errno::EINVAL, "`length` is too large"))?;
    let end = start.checked_add(len).ok_or(fail(errno::EINVAL, "the range wraps"))?;
    cx.mm().unmap(start..end)?;
    Ok(Outcome::OK)
}

/// Handles `mprotect(addr, len, prot)`.
pub(super) fn sys_mprotect(
    cx: &mut SyscallCx<'_>,
    Address(start): Address,
    raw_len: ULong,
    raw_protection: ULong,
) -> SyscallResult {
    let (down, up) = (u64::from(uapi::PROT_GROWSDOWN), u64::from(uapi::PROT_GROWSUP));
    if raw_protection & (down | up) == down | up {
        return Err(fail(errno::EINVAL, "it can't grow both ways"));
    }
    if !mm::is_page(start) {
        return Err(fail(errno::EINVAL, "`addr` is not a page's"));
    }
    if raw_len == 0 {
        return Ok(Outcome::OK);
    }
    let len = mm::page_up(raw_len).ok_or(fail(errno::ENOMEM, "`len` is too large"))?;
    let end = start.checked_add(len).ok_or(fail(errno::ENOMEM, "the range wraps"))?;
    let known = u64::from(Protection::all().bits());
    if raw_protection & !(known | u64::from(uapi::PROT_SEM) | down | up) != 0 {
        return Err(fail(errno::EINVAL, "a bit of `prot` is not known"));
    }
    if raw_protection & up != 0 {
        return Err(fail(errno::EINVAL, "no memory grows up"));
    }
    let extend = if raw_protection & down != 0 { Extend::Down } else { Extend::No };
    cx.mm().protect(start..end, Protection::from_bits_truncate(low_bits(raw_protection)), extend)?;
    Ok(Outcome::OK)
}

/// Handles `brk(addr)`: never fails, but returns the break as it is.
pub(super) fn sys_brk(cx: &mut SyscallCx<'_>, Address(to): Address) -> SyscallResult {
    Ok(cx.mm().set_break(to).into())
}

/// Handles `mremap(old_address, old_size, new_size, flags, new_address)`.
pub(super) fn sys_mremap(
    cx: &mut SyscallCx<'_>,
    Address(old_start): Address,
    raw_old_len: ULong,
    raw_new_len: ULong,
    flags: UInt,
    Address(new_start): Address,
) -> SyscallResult {
    let may_move = flags & uapi::MREMAP_MAYMOVE != 0;
    let is_fixed = flags & uapi::MREMAP_FIXED != 0;
    let keeps = flags & uapi::MREMAP_DONTUNMAP != 0;
    if flags & !(uapi::MREMAP_MAYMOVE | uapi::MREMAP_FIXED | uapi::MREMAP_DONTUNMAP) != 0 {
        return Err(fail(errno::EINVAL, "a flag is not known"));
    }
    if (is_fixed || keeps) && !may_move {
        return Err(fail(errno::EINVAL, "it can't be there without MREMAP_MAYMOVE"));
    }
    let invalid = |cause| move || fail(errno::EINVAL, cause);
    let old_len = mm::page_up(raw_old_len).ok_or_else(invalid("`old_size` is too large"))?;
    let new_len = mm::page_up(raw_new_len).ok_or_else(invalid("`new_size` is too large"))?;
    if !mm::is_page(old_start) || new_len == 0 {
        return Err(fail(errno::EINVAL, "not whole pages"));
    }
    if keeps && old_len != new_len {
        return Err(fail(errno::EINVAL, "MREMAP_DONTUNMAP can't resize"));
    }
    if is_fixed && !mm::is_page(new_start) {
        return Err(fail(errno::EINVAL, "`new_address` is not a page's"));
    }
    let old_end = old_start.checked_add(old_len).ok_or_else(invalid("the range wraps"))?;
    let moves = match (is_fixed, may_move) {
        (true, _) => Move::Fixed(new_start),
        (false, true) => Move::May,
        (false, false) => Move::No,
    };
    let old_place = if keeps { OldPlace::Kept } else { OldPlace::Unmapped };
    let start = cx.mm().remap(old_start..old_end, new_len, moves, old_place)?;
    Ok(start.into())
}

/// Returns the whole pages that the `len` bytes at `start`, which is a page's, have a part of.
///
/// # Errors
///
/// `EINVAL` if `start` is no page's or the range wraps.
pub(super) fn pages(Address(start): Address, raw_len: u64) -> Result<std::ops::Range<u64>, Fail> {
    if !mm::is_page(start) {
        return Err(fail(errno::EINVAL, "`addr` is not a page's"));
    }
    let end = mm::page_up(raw_len).and_then(|len| start.checked_add(len));
    Ok(start..end.ok_or(fail(errno::EINVAL, "the range wraps"))?)
}

/// Returns the whole pages that the `len` bytes at `start` have a part of.
///
/// # Errors
///
/// `EINVAL` if the range wraps.
pub(super) fn pages_around(Address(start): Address, len: u64) -> Result<std::ops::Range<u64>, Fail> {
    let first = mm::page_down(start);
    let len = len.checked_add(start % PAGE_BYTES).ok_or(fail(errno::EINVAL, "the range wraps"))?;
    pages(Address(first), len)
}
