//! `semget(2)`, `semop(2)`, `semtimedop(2)`, `semctl(2)`.

use cloister_abi::time::Timespec;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::ipc::{IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, RawPermission, command, now};
use super::{Address, Int, Size, ULong};
use crate::event::Events;
use crate::ipc::{
    Found, Get, IpcAccess, IpcPermission, MAX_VALUE, Operated, Operator, SemaphoreOp, SemaphoreSet, WaitFor,
};
use crate::kernel::Parameter;
use crate::prelude::*;
use crate::time;

/// How many semaphores there can be in all, whatever `SEMMNS` says: the kernel's own memory holds them.
const MAX_ALL: usize = 1_000_000;

const SEM_UNDO: u16 = 0x1000;
const IPC_NOWAIT: u16 = 0o4000;

/// Commands of `semctl`.
const GETPID: u32 = 11;
const GETVAL: u32 = 12;
const GETALL: u32 = 13;
const GETNCNT: u32 = 14;
const GETZCNT: u32 = 15;
const SETVAL: u32 = 16;
const SETALL: u32 = 17;
const SEM_STAT: u32 = 18;
const SEM_INFO: u32 = 19;
const SEM_STAT_ANY: u32 = 20;

/// `struct sembuf`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
#[repr(C)]
struct RawOp {
    number: u16,
    change: i16,
    flags: u16,
}

/// `struct semid64_ds`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct RawSet {
    permission: RawPermission,
    operated: u64,
    unused1: u64,
    changed: u64,
    unused2: u64,
    count: u64,
    unused: [u64; 2],
}

impl RawSet {
    fn new(set: &SemaphoreSet) -> Self {
        Self {
            permission: RawPermission::new(&set.data.permission, 0),
            operated: set.data.operated,
            unused1: 0,
            changed: set.data.changed,
            unused2: 0,
            count: set.data.semaphores.len() as u64,
            unused: [0; 2],
        }
    }
}

/// Handles `semget(key, nsems, semflg)`.
pub(super) fn sys_semget(cx: &mut SyscallCx<'_>, key: Int, count: Int, flags: Int) -> SyscallResult {
    let [of_a_set, of_all, _, sets] = cx.kernel().parameters.semaphores.each_ref().map(Parameter::size);
    let count = usize::try_from(count).ok().filter(|count| *count <= of_a_set);
    let count = count.ok_or(fail(errno::EINVAL, "`nsems` is negative or too large"))?;
    let flags = flags.cast_unsigned();
    let credentials = cx.credentials();
    let time = now(cx);
    let get = Get { key, flags, credentials: &credentials, limit: sets };
    let ipc = cx.task.ipc();
    let mut semaphores = ipc.semaphores.lock();
    match semaphores.sets.find(&get)? {
        Found::Existing(id) => {
            if semaphores.sets.get_mut(id)?.data.semaphores.len() < count {
                return Err(fail(errno::EINVAL, "the set is smaller"));
            }
            Ok(id.into())
        }
        Found::Nothing if count == 0 => Err(fail(errno::EINVAL, "`nsems` is zero")),
        Found::Nothing => {
            let all: usize = semaphores.sets.iter().map(|set| set.data.semaphores.len()).sum();
            if all + count > of_all.min(MAX_ALL) {
                return Err(fail(errno::ENOSPC, "there are too many semaphores"));
            }
            let permission = IpcPermission::new(key, flags, &credentials);
            Ok(semaphores.sets.add(SemaphoreSet::new(permission, count, time)).into())
        }
    }
}

/// Handles `semop(semid, sops, nsops)`.
pub(super) fn sys_semop(cx: &mut SyscallCx<'_>, id: Int, ops: Address, count: Size) -> SyscallResult {
    sys_semtimedop(cx, id, ops, count, Address(0))
}

/// Handles `semtimedop(semid, sops, nsops, timeout)`.
pub(super) fn sys_semtimedop(
    cx: &mut SyscallCx<'_>,
    id: Int,
    ops: Address,
    count: Size,
    timeout: Address,
) -> SyscallResult {
    let ops = read_ops(cx, ops, count)?;
    let has_waited = cx.state().is_some();
    let timeout = if timeout.is_null() || has_waited {
        None
    } else {
        Some(time::duration(cx.memory().read::<Timespec>(timeout)?)?)
    };
    let gone = |failure: Fail| {
        let is_gone = has_waited && failure.is(errno::EINVAL);
        if is_gone { fail(errno::EIDRM, "the set was removed meanwhile") } else { failure }
    };
    let credentials = cx.credentials();
    let queue = {
        let alters = ops.iter().any(|op| op.change != 0);
        let ipc = cx.task.ipc();
        let mut semaphores = ipc.semaphores.lock();
        let set = semaphores.sets.get_mut(id).map_err(gone)?;
        let access = if alters { IpcAccess::Write } else { IpcAccess::Read };
        set.data.permission.check(&credentials, access)?;
        set.queue.clone()
    };
    let deadline = cx.deadline(timeout);
    let who = Operator { task: cx.task.tid(), process: cx.group().tgid(), now: now(cx) };
    let result = cx.block_on(&queue, Events::IN, deadline, Restart::NoHand, |cx| {
        match cx.task.ipc().semaphores.lock().operate(id, &ops, who)? {
            Operated::MustWait => Err(fail(errno::EAGAIN, "an operation has to wait")),
            operated => Ok(operated),
        }
    });
    match result {
        Ok(Operated::Refused) => Err(fail(errno::EAGAIN, "an operation does not wait")),
        Ok(_) => Ok(Outcome::OK),
        Err(failure @ Fail::Park(_)) => Err(failure),
        // As in Linux it is never restarted.
        Err(Fail::Restart(_)) => {
            forget(cx, id);
            Err(fail(errno::EINTR, "interrupted by a signal"))
        }
        Err(failure) => {
            forget(cx, id);
            Err(gone(failure))
        }
    }
}

fn forget(cx: &SyscallCx<'_>, id: i32) {
    if let Ok(set) = cx.task.ipc().semaphores.lock().sets.get_mut(id) {
        set.forget_waiter(cx.task.tid());
    }
}

fn read_ops(cx: &SyscallCx<'_>, ops: Address, count: usize) -> Result<Vec<SemaphoreOp>, Fail> {
    if count == 0 {
        return Err(fail(errno::EINVAL, "there is no operation"));
    }
    if count > cx.kernel().parameters.semaphores[2].size() {
        return Err(fail(errno::E2BIG, "there are too many operations"));
    }
    let raw = cx.memory().read_array::<RawOp>(ops, count)?;
    let op = |raw: &RawOp| SemaphoreOp {
        number: raw.number,
        change: raw.change,
        is_undone: raw.flags & SEM_UNDO != 0,
        is_immediate: raw.flags & IPC_NOWAIT != 0,
    };
    Ok(raw.iter().map(op).collect())
}

/// Handles `semctl(semid, semnum, cmd, arg)`.
pub(super) fn sys_semctl(
    cx: &mut SyscallCx<'_>,
    id: Int,
    number: Int,
    raw_command: Int,
    arg: ULong,
) -> SyscallResult {
    let buffer = Address(arg);
    match command(raw_command) {
        command @ (GETPID | GETVAL | GETNCNT | GETZCNT) => look(cx, id, |set| {
            let semaphore = *set.semaphore(number, errno::EINVAL)?;
            let count = |what| i32::try_from(set.count_waiting(number, what)).unwrap_or(i32::MAX);
            Ok(match command {
                GETPID => cx.number(semaphore.pid),
                GETVAL => semaphore.value,
                GETNCNT => count(WaitFor::Increase),
                _ => count(WaitFor::Zero),
            })
        })
        .map(Outcome::from),
        GETALL => {
            let values = look(cx, id, |set| {
                Ok(set.data.semaphores.iter().map(|semaphore| to_u16(semaphore.value)).collect::<Vec<_>>())
            })?;
            cx.memory().write_bytes(buffer, values.as_slice().as_bytes())?;
            Ok(Outcome::OK)
        }
        SETVAL => {
            // The value is an `int`, in the lower half of the argument.
            let value = super::Argument::from_register(arg);
            set_values(cx, id, Some(number), &[value])
        }
        SETALL => {
            let count = look(cx, id, |set| Ok(set.data.semaphores.len()))?;
            let values = cx.memory().read_array::<u16>(buffer, count)?;
            set_values(cx, id, None, &values.into_iter().map(i32::from).collect::<Vec<_>>())
        }
        IPC_STAT => {
            let raw = look(cx, id, |set| Ok(RawSet::new(set)))?;
            cx.memory().write(buffer, &raw)?;
            Ok(Outcome::OK)
        }
        command @ (SEM_STAT | SEM_STAT_ANY) => {
            let credentials = cx.credentials();
            let (found, raw) = {
                let ipc = cx.task.ipc();
                let mut semaphores = ipc.semaphores.lock();
                let (found, set) = semaphores.sets.at_place(id)?;
                if command == SEM_STAT {
                    set.data.permission.check(&credentials, IpcAccess::Read)?;
                }
                (found, RawSet::new(set))
            };
            cx.memory().write(buffer, &raw)?;
            Ok(found.into())
        }
        IPC_SET => {
            let new = RawPermission::read(cx, buffer)?;
            let (time, credentials) = (now(cx), cx.credentials());
            let ipc = cx.task.ipc();
            let mut semaphores = ipc.semaphores.lock();
            let set = semaphores.sets.get_mut(id)?;
            set.data.permission.check_owner(&credentials)?;
            new.apply(&mut set.data.permission);
            set.data.changed = time;
            Ok(Outcome::OK)
        }
        IPC_RMID => {
            let credentials = cx.credentials();
            let ipc = cx.task.ipc();
            let mut semaphores = ipc.semaphores.lock();
            semaphores.sets.get_mut(id)?.data.permission.check_owner(&credentials)?;
            semaphores.forget_undo(id, None);
            if let Some(set) = semaphores.sets.remove(id) {
                set.wake();
            }
            Ok(Outcome::OK)
        }
        command @ (IPC_INFO | SEM_INFO) => info(cx, command, buffer),
        _ => Err(fail(errno::EINVAL, "`cmd` is not known")),
    }
}

fn to_u16(value: i32) -> u16 {
    u16::try_from(value).unwrap_or(0)
}

/// Looks at a set that the caller may read.
fn look<T>(
    cx: &SyscallCx<'_>,
    id: i32,
    work: impl FnOnce(&mut SemaphoreSet) -> Result<T, Fail>,
) -> Result<T, Fail> {
    let credentials = cx.credentials();
    let ipc = cx.task.ipc();
    let mut semaphores = ipc.semaphores.lock();
    let set = semaphores.sets.get_mut(id)?;
    set.data.permission.check(&credentials, IpcAccess::Read)?;
    work(set)
}

/// Sets one value, or all.
fn set_values(cx: &SyscallCx<'_>, id: i32, number: Option<i32>, values: &[i32]) -> SyscallResult {
    if values.iter().any(|value| !(0..=MAX_VALUE).contains(value)) {
        return Err(fail(errno::ERANGE, "a value is negative or too large"));
    }
    let (time, pid, credentials) = (now(cx), cx.group().tgid(), cx.credentials());
    let ipc = cx.task.ipc();
    let mut semaphores = ipc.semaphores.lock();
    let set = semaphores.sets.get_mut(id)?;
    set.data.permission.check(&credentials, IpcAccess::Write)?;
    for (at, value) in (number.unwrap_or(0)..).zip(values) {
        let semaphore = set.semaphore(at, errno::EINVAL)?;
        (semaphore.value, semaphore.pid) = (*value, pid);
    }
    set.data.changed = time;
    set.wake();
    semaphores.forget_undo(id, number);
    Ok(Outcome::OK)
}

/// Tells the limits (`struct seminfo`), or how much is used.
fn info(cx: &SyscallCx<'_>, command: u32, buffer: Address) -> SyscallResult {
    let (sets, count, highest) = {
        let ipc = cx.task.ipc();
        let semaphores = ipc.semaphores.lock();
        let count = semaphores.sets.iter().map(|set| set.data.semaphores.len()).sum::<usize>();
        (semaphores.sets.len(), count, semaphores.sets.highest_place())
    };
    let int = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let (used, exit_max) = if command == SEM_INFO { (int(sets), int(count)) } else { (20, MAX_VALUE) };
    let [of_a_set, of_all, operations, max_sets] =
        cx.kernel().parameters.semaphores.each_ref().map(|parameter| int(parameter.size()));
    let all = of_all.min(int(MAX_ALL));
    let info = [all, max_sets, all, all, of_a_set, operations, operations, used, MAX_VALUE, exit_max];
    cx.memory().write(buffer, &info)?;
    Ok(highest.into())
}
