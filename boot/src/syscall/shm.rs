//! `shmget(2)`, `shmat(2)`, `shmdt(2)`, `shmctl(2)`.

use cloister_platform::Protection;
use zerocopy::{FromZeros, Immutable, IntoBytes};

use super::ipc::{IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, RawPermission, command, now};
use super::{Address, Int, Size};
use crate::ipc::{Found, Get, IpcAccess, IpcPermission, SegmentData, SharedSegment};
use crate::mm::{self, MemoryObject, ObjectOwner, PAGE_BYTES, Placement, Vma, VmaBacking, VmaFlags};
use crate::prelude::*;
use crate::task::Capabilities;

const SHM_RDONLY: u32 = 0o10000;
const SHM_RND: u32 = 0o20000;
const SHM_REMAP: u32 = 0o40000;
const SHM_EXEC: u32 = 0o100_000;
/// The state that `shm_perm.mode` tells of a segment that was removed.
const SHM_DEST: u32 = 0o1000;

/// Commands of `shmctl`.
const SHM_LOCK: u32 = 11;
const SHM_UNLOCK: u32 = 12;
const SHM_STAT: u32 = 13;
const SHM_INFO: u32 = 14;
const SHM_STAT_ANY: u32 = 15;

/// `struct shmid64_ds`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct RawSegment {
    permission: RawPermission,
    size: u64,
    attached: u64,
    detached: u64,
    changed: u64,
    creator: i32,
    last: i32,
    attachments: u64,
    unused: [u64; 2],
}

/// `struct shm_info`.
#[derive(FromZeros, IntoBytes, Immutable)]
#[repr(C)]
struct RawInfo {
    used: i32,
    padding: i32,
    total_pages: u64,
    resident_pages: u64,
    swapped_pages: u64,
    unused: [u64; 2],
}

impl RawSegment {
    fn new(segment: &SharedSegment) -> Self {
        let data = &segment.data;
        let removed = if segment.is_removed() { SHM_DEST } else { 0 };
        Self {
            permission: RawPermission::new(&data.permission, removed),
            size: data.size,
            attached: data.attached,
            detached: data.detached,
            changed: data.changed,
            creator: data.creator,
            last: data.last,
            attachments: segment.attachments() as u64,
            unused: [0; 2],
        }
    }
}

/// Handles `shmget(key, size, shmflg)`.
pub(super) fn sys_shmget(cx: &mut SyscallCx<'_>, key: Int, size: Size, flags: Int) -> SyscallResult {
    let (size, flags) = (size as u64, flags.cast_unsigned());
    let credentials = cx.credentials();
    let parameters = &cx.kernel().parameters;
    let get = Get { key, flags, credentials: &credentials, limit: parameters.shared_memory_segments.size() };
    let ipc = cx.task.ipc();
    let mut segments = ipc.shared_memory.lock();
    segments.retain(|segment| !segment.is_gone());
    match segments.find(&get)? {
        Found::Existing(id) => {
            if segments.get_mut(id)?.data.size < size {
                return Err(fail(errno::EINVAL, "the segment is smaller"));
            }
            Ok(id.into())
        }
        Found::Nothing => {
            if size == 0 || size > parameters.shared_memory_bytes.get() {
                return Err(fail(errno::EINVAL, "`size` is zero or too large"));
            }
            let pages = mm::page_up(size).ok_or(fail(errno::EINVAL, "`size` is too large"))?;
            let used = segments.iter().map(|segment| segment.data.size.div_ceil(PAGE_BYTES)).sum::<u64>();
            if used.saturating_add(pages / PAGE_BYTES) > parameters.shared_memory_pages.get() {
                return Err(fail(errno::ENOSPC, "there is too much shared memory"));
            }
            let memory = MemoryObject::with_len(pages, ObjectOwner::SystemV(key))?;
            let data = SegmentData {
                permission: IpcPermission::new(key, flags, &credentials),
                size,
                attached: 0,
                detached: 0,
                changed: now(cx),
                creator: cx.group().tgid(),
                last: 0,
            };
            Ok(segments.add(SharedSegment::new(data, memory)).into())
        }
    }
}

/// Handles `shmat(shmid, shmaddr, shmflg)`.
pub(super) fn sys_shmat(
    cx: &mut SyscallCx<'_>,
    id: Int,
    Address(address): Address,
    flags: Int,
) -> SyscallResult {
    let flags = flags.cast_unsigned();
    let placement = attach_placement(address, flags)?;
    let mut protection = Protection::READ;
    protection.set(Protection::WRITE, flags & SHM_RDONLY == 0);
    protection.set(Protection::EXECUTE, flags & SHM_EXEC != 0);
    let access = if flags & SHM_RDONLY == 0 { IpcAccess::ReadWrite } else { IpcAccess::Read };
    let credentials = cx.credentials();
    let (memory, size) = {
        let ipc = cx.task.ipc();
        let mut segments = ipc.shared_memory.lock();
        let segment = segments.get_mut(id)?;
        segment.data.permission.check(&credentials, access)?;
        let memory = segment.memory().ok_or(fail(errno::EIDRM, "the segment is gone"))?;
        (segment.data.last, segment.data.attached) = (cx.group().tgid(), now(cx));
        (memory, segment.data.size)
    };
    let mut vma = Vma::anonymous(protection, VmaFlags::SHARED);
    if flags & SHM_RDONLY != 0 {
        vma.max_protection.remove(Protection::WRITE);
    }
    vma.backing = VmaBacking::Object { object: memory, offset: 0 };
    let len = mm::page_up(size).ok_or(fail(errno::ENOMEM, "the segment is too large"))?;
    let start = cx.mm().map(placement, len, vma).map_err(|failure| {
        if failure.is(errno::EEXIST) { fail(errno::EINVAL, "something is mapped there") } else { failure }
    })?;
    Ok(start.into())
}

/// Returns where a segment is to be attached.
fn attach_placement(address: u64, flags: u32) -> Result<Placement, Fail> {
    if address == 0 {
        if flags & SHM_REMAP != 0 {
            return Err(fail(errno::EINVAL, "SHM_REMAP needs an address"));
        }
        return Ok(Placement::Anywhere(0));
    }
    let start = if flags & SHM_RND != 0 { mm::page_down(address) } else { address };
    if !mm::is_page(start) || start == 0 {
        return Err(fail(errno::EINVAL, "`shmaddr` is not a page's"));
    }
    Ok(if flags & SHM_REMAP != 0 { Placement::Fixed(start) } else { Placement::FixedNoReplace(start) })
}

/// Handles `shmdt(shmaddr)`.
pub(super) fn sys_shmdt(cx: &mut SyscallCx<'_>, Address(address): Address) -> SyscallResult {
    let invalid = || fail(errno::EINVAL, "no segment is attached there");
    let (range, vma) = cx.mm().find(address).ok_or_else(invalid)?;
    let (object, offset) = vma.object().ok_or_else(invalid)?;
    if range.start != address || offset != 0 || !matches!(object.owner(), ObjectOwner::SystemV(_)) {
        return Err(invalid());
    }
    let size = {
        let ipc = cx.task.ipc();
        let mut segments = ipc.shared_memory.lock();
        let segment = segments.iter_mut().find(|segment| segment.is(object)).ok_or_else(invalid)?;
        (segment.data.last, segment.data.detached) = (cx.group().tgid(), now(cx));
        segment.data.size
    };
    // What is left of the attachment, where parts were unmapped or protected otherwise.
    let end = mm::page_up(size).and_then(|len| address.checked_add(len)).ok_or_else(invalid)?;
    let (mappings, _) = cx.mm().overlapping(&(address..end));
    for (part, other) in mappings {
        let is_part = other.object().is_some_and(|(other, offset)| {
            Arc::ptr_eq(other, object) && part.start.wrapping_sub(address) == offset
        });
        if is_part {
            cx.mm().unmap(part.start..part.end.min(end))?;
        }
    }
    Ok(Outcome::OK)
}

/// Handles `shmctl(shmid, cmd, buf)`.
pub(super) fn sys_shmctl(
    cx: &mut SyscallCx<'_>,
    id: Int,
    raw_command: Int,
    buffer: Address,
) -> SyscallResult {
    let credentials = cx.credentials();
    let command = command(raw_command);
    let new = if command == IPC_SET { Some(RawPermission::read(cx, buffer)?) } else { None };
    let dropped;
    let ipc = cx.task.ipc();
    let mut segments = ipc.shared_memory.lock();
    segments.retain(|segment| !segment.is_gone());
    match command {
        IPC_STAT | SHM_STAT | SHM_STAT_ANY => {
            let (found, segment) =
                if command == IPC_STAT { (0, segments.get_mut(id)?) } else { segments.at_place(id)? };
            if command != SHM_STAT_ANY {
                segment.data.permission.check(&credentials, IpcAccess::Read)?;
            }
            let raw = RawSegment::new(segment);
            drop(segments);
            cx.memory().write(buffer, &raw)?;
            Ok(found.into())
        }
        IPC_SET => {
            let time = now(cx);
            let segment = segments.get_mut(id)?;
            segment.data.permission.check_owner(&credentials)?;
            if let Some(new) = new {
                new.apply(&mut segment.data.permission);
            }
            segment.data.changed = time;
            Ok(Outcome::OK)
        }
        IPC_RMID => {
            let segment = segments.get_mut(id)?;
            segment.data.permission.check_owner(&credentials)?;
            dropped = segment.mark_removed();
            drop(segments);
            drop(dropped);
            Ok(Outcome::OK)
        }
        SHM_LOCK | SHM_UNLOCK => {
            let segment = segments.get_mut(id)?;
            if !credentials.has(Capabilities::IPC_LOCK) {
                segment.data.permission.check_owner(&credentials)?;
            }
            Ok(Outcome::OK)
        }
        IPC_INFO => {
            let highest = segments.highest_place();
            drop(segments);
            let parameters = &cx.kernel().parameters;
            let (bytes, count) =
                (parameters.shared_memory_bytes.get(), parameters.shared_memory_segments.get());
            let limits = [bytes, 1, count, count, parameters.shared_memory_pages.get(), 0, 0, 0, 0];
            cx.memory().write(buffer, &limits)?;
            Ok(highest.into())
        }
        SHM_INFO => {
            let mut raw = RawInfo::new_zeroed();
            raw.used = i32::try_from(segments.len()).unwrap_or(i32::MAX);
            raw.total_pages = segments.iter().map(|segment| segment.data.size.div_ceil(PAGE_BYTES)).sum();
            let highest = segments.highest_place();
            drop(segments);
            cx.memory().write(buffer, &raw)?;
            Ok(highest.into())
        }
        _ => Err(fail(errno::EINVAL, "`cmd` is not known")),
    }
}
