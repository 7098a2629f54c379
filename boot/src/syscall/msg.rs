//! `msgget(2)`, `msgsnd(2)`, `msgrcv(2)`, `msgctl(2)`.

use zerocopy::{FromZeros, Immutable, IntoBytes};

use super::ipc::{IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, RawPermission, command, now};
use super::{Address, Int, Long, Size};
use crate::event::{Events, WaitQueue};
use crate::ipc::{Found, Get, IpcAccess, IpcPermission, Message, MessageQueue, Select};
use crate::prelude::*;
use crate::syscall::SyscallState;
use crate::task::Capabilities;

const IPC_NOWAIT: u32 = 0o4000;
const MSG_NOERROR: u32 = 0o10000;
const MSG_EXCEPT: u32 = 0o20000;
const MSG_COPY: u32 = 0o40000;

/// Commands of `msgctl`.
const MSG_STAT: u32 = 11;
const MSG_INFO: u32 = 12;
const MSG_STAT_ANY: u32 = 13;

/// `struct msqid64_ds`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct RawQueue {
    permission: RawPermission,
    sent: u64,
    received: u64,
    changed: u64,
    bytes: u64,
    count: u64,
    limit_bytes: u64,
    last_sender: i32,
    last_receiver: i32,
    unused: [u64; 2],
}

/// `struct msginfo`.
#[derive(FromZeros, IntoBytes, Immutable)]
#[repr(C)]
struct RawInfo {
    pool: i32,
    map: i32,
    max: i32,
    queue_bytes: i32,
    queues: i32,
    segment_bytes: i32,
    messages: i32,
    segments: u16,
    padding: u16,
}

impl RawQueue {
    fn new(queue: &MessageQueue) -> Self {
        let data = &queue.data;
        Self {
            permission: RawPermission::new(&data.permission, 0),
            sent: data.sent,
            received: data.received,
            changed: data.changed,
            bytes: queue.bytes(),
            count: data.messages.len() as u64,
            limit_bytes: data.limit_bytes,
            last_sender: data.last_sender,
            last_receiver: data.last_receiver,
            unused: [0; 2],
        }
    }
}

/// Handles `msgget(key, msgflg)`.
pub(super) fn sys_msgget(cx: &mut SyscallCx<'_>, key: Int, flags: Int) -> SyscallResult {
    let flags = flags.cast_unsigned();
    let credentials = cx.credentials();
    let time = now(cx);
    let parameters = &cx.kernel().parameters;
    let get = Get { key, flags, credentials: &credentials, limit: parameters.message_queues.size() };
    let ipc = cx.task.ipc();
    let mut queues = ipc.message_queues.lock();
    match queues.find(&get)? {
        Found::Existing(id) => Ok(id.into()),
        Found::Nothing => {
            let permission = IpcPermission::new(key, flags, &credentials);
            Ok(queues.add(MessageQueue::new(permission, parameters.message_queue_bytes.get(), time)).into())
        }
    }
}

/// Handles `msgsnd(msqid, msgp, msgsz, msgflg)`.
pub(super) fn sys_msgsnd(
    cx: &mut SyscallCx<'_>,
    id: Int,
    buffer: Address,
    len: Size,
    flags: Int,
) -> SyscallResult {
    if len > cx.kernel().parameters.message_bytes.size() || id < 0 {
        return Err(fail(errno::EINVAL, "`msgsz` is too large"));
    }
    let kind = cx.memory().read::<i64>(buffer)?;
    if kind < 1 {
        return Err(fail(errno::EINVAL, "the message's type is not positive"));
    }
    let mut text = vec![0; len];
    cx.memory().read_bytes(Address(buffer.0.wrapping_add(8)), &mut text)?;
    let mut message = Some(Message { kind, text });
    wait(cx, id, IpcAccess::Write, flags.cast_unsigned(), |cx, queue| {
        if !queue.has_room(len) {
            return Err(errno::EAGAIN.into());
        }
        queue.data.messages.extend(message.take());
        (queue.data.last_sender, queue.data.sent) = (cx.group().tgid(), now(cx));
        queue.wake();
        Ok(())
    })?;
    Ok(Outcome::OK)
}

/// Handles `msgrcv(msqid, msgp, msgsz, msgtyp, msgflg)`.
pub(super) fn sys_msgrcv(
    cx: &mut SyscallCx<'_>,
    id: Int,
    buffer: Address,
    len: Size,
    kind: Long,
    flags: Int,
) -> SyscallResult {
    let flags = flags.cast_unsigned();
    if flags & MSG_COPY != 0 {
        return Err(fail(errno::ENOSYS, "messages can't be looked at without receiving them"));
    }
    if isize::try_from(len).is_err() || id < 0 {
        return Err(fail(errno::EINVAL, "`msgsz` is too large"));
    }
    let select = match kind {
        0 => Select::First,
        kind if kind < 0 => Select::UpTo(kind.saturating_neg()),
        kind if flags & MSG_EXCEPT != 0 => Select::Except(kind),
        kind => Select::Kind(kind),
    };
    let received = wait(cx, id, IpcAccess::Read, flags, |cx, queue| {
        let at = queue.select(select).ok_or(fail(errno::EAGAIN, "there is no such message"))?;
        let is_too_long = queue.data.messages.get(at).is_some_and(|message| message.text.len() > len);
        if is_too_long && flags & MSG_NOERROR == 0 {
            return Err(fail(errno::E2BIG, "the message is longer"));
        }
        (queue.data.last_receiver, queue.data.received) = (cx.group().tgid(), now(cx));
        let message = queue.data.messages.remove(at);
        queue.wake();
        message.ok_or(fail(errno::EAGAIN, "there is no such message"))
    });
    let received = received.map_err(|failure| {
        if failure.is(errno::EAGAIN) { fail(errno::ENOMSG, "there is no such message") } else { failure }
    })?;
    let text = received.text.get(..len).unwrap_or(&received.text);
    cx.memory().write(buffer, &received.kind)?;
    cx.memory().write_bytes(Address(buffer.0.wrapping_add(8)), text)?;
    Ok(text.len().into())
}

/// Runs `attempt` with a queue until it fails with something else than `EAGAIN`; once, if the call does not wait.
fn wait<T>(
    cx: &mut SyscallCx<'_>,
    id: i32,
    access: IpcAccess,
    flags: u32,
    mut attempt: impl FnMut(&SyscallCx<'_>, &mut MessageQueue) -> Result<T, Fail>,
) -> Result<T, Fail> {
    let has_waited = cx.state().is_some();
    let credentials = cx.credentials();
    let mut try_once = |cx: &mut SyscallCx<'_>| {
        let ipc = cx.task.ipc();
        let mut queues = ipc.message_queues.lock();
        let queue = queues.get_mut(id).map_err(|failure| {
            if has_waited { fail(errno::EIDRM, "the queue was removed meanwhile") } else { failure }
        })?;
        queue.data.permission.check(&credentials, access)?;
        attempt(cx, queue)
    };
    if flags & IPC_NOWAIT != 0 {
        return try_once(cx);
    }
    let events: WaitQueue = match cx.task.ipc().message_queues.lock().get_mut(id) {
        Ok(queue) => queue.queue.clone(),
        // The attempt tells what is wrong.
        Err(_) => WaitQueue::new(),
    };
    let result = cx.block_on(&events, Events::IN, None, Restart::NoHand, try_once);
    if matches!(result, Err(Fail::Park(_))) {
        cx.set_state(SyscallState::Deadline(None));
    }
    result
}

/// Handles `msgctl(msqid, cmd, buf)`.
pub(super) fn sys_msgctl(
    cx: &mut SyscallCx<'_>,
    id: Int,
    raw_command: Int,
    buffer: Address,
) -> SyscallResult {
    let credentials = cx.credentials();
    match command(raw_command) {
        command @ (IPC_STAT | MSG_STAT | MSG_STAT_ANY) => {
            let (found, raw) = {
                let ipc = cx.task.ipc();
                let mut queues = ipc.message_queues.lock();
                let (found, queue) =
                    if command == IPC_STAT { (0, queues.get_mut(id)?) } else { queues.at_place(id)? };
                if command != MSG_STAT_ANY {
                    queue.data.permission.check(&credentials, IpcAccess::Read)?;
                }
                (found, RawQueue::new(queue))
            };
            cx.memory().write(buffer, &raw)?;
            Ok(found.into())
        }
        IPC_SET => {
            let new = RawPermission::read(cx, buffer)?;
            let limit_at = buffer.0.wrapping_add(std::mem::offset_of!(RawQueue, limit_bytes) as u64);
            let limit_bytes = cx.memory().read::<u64>(Address(limit_at))?;
            let time = now(cx);
            let ipc = cx.task.ipc();
            let mut queues = ipc.message_queues.lock();
            let queue = queues.get_mut(id)?;
            queue.data.permission.check_owner(&credentials)?;
            if limit_bytes > cx.kernel().parameters.message_queue_bytes.get()
                && !credentials.has(Capabilities::SYS_RESOURCE)
            {
                return Err(fail(errno::EPERM, "`msg_qbytes` is above the limit"));
            }
            new.apply(&mut queue.data.permission);
            (queue.data.limit_bytes, queue.data.changed) = (limit_bytes, time);
            queue.wake();
            Ok(Outcome::OK)
        }
        IPC_RMID => {
            let ipc = cx.task.ipc();
            let mut queues = ipc.message_queues.lock();
            queues.get_mut(id)?.data.permission.check_owner(&credentials)?;
            if let Some(queue) = queues.remove(id) {
                queue.wake();
            }
            Ok(Outcome::OK)
        }
        command @ (IPC_INFO | MSG_INFO) => info(cx, command, buffer),
        _ => Err(fail(errno::EINVAL, "`cmd` is not known")),
    }
}

/// Tells the limits, or how much is used.
fn info(cx: &SyscallCx<'_>, command: u32, buffer: Address) -> SyscallResult {
    let int = |number: u64| i32::try_from(number).unwrap_or(i32::MAX);
    let mut raw = RawInfo::new_zeroed();
    let limits = &cx.kernel().parameters;
    (raw.max, raw.queue_bytes, raw.queues) = (
        int(limits.message_bytes.get()),
        int(limits.message_queue_bytes.get()),
        int(limits.message_queues.get()),
    );
    let highest = {
        let ipc = cx.task.ipc();
        let queues = ipc.message_queues.lock();
        if command == MSG_INFO {
            raw.pool = int(queues.len() as u64);
            raw.map = int(queues.iter().map(|queue| queue.data.messages.len() as u64).sum());
            raw.messages = int(queues.iter().map(MessageQueue::bytes).sum());
        }
        queues.highest_place()
    };
    cx.memory().write(buffer, &raw)?;
    Ok(highest.into())
}
