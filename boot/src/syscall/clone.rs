//! `clone(2)`, `clone3(2)`, `fork(2)`, `vfork(2)`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Address, Size, SyscallState, ULong};
use crate::event::Events;
use crate::kernel::Park;
use crate::prelude::*;
use crate::signal::Signal;
use crate::task::{self, CloneArguments, CloneFlags, Pid};

/// The lower bits of `clone`'s flags: the exit signal.
const CSIGNAL: u64 = 0xff;

/// `struct clone_args` (`linux/sched.h`), version 2.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// The size of the first published version of `struct clone_args`.
const CLONE_ARGS_SIZE_VER0: usize = 64;

/// Handles `fork()`.
pub(super) fn sys_fork(cx: &mut SyscallCx<'_>) -> SyscallResult {
    clone(cx, &arguments(CloneFlags::empty(), Signal::CHLD.number()))
}

/// Handles `vfork()`.
pub(super) fn sys_vfork(cx: &mut SyscallCx<'_>) -> SyscallResult {
    clone(cx, &arguments(CloneFlags::VFORK | CloneFlags::VM, Signal::CHLD.number()))
}

/// Handles `clone(flags, stack, parent_tid, child_tid, tls)`.
///
/// Flags that only `clone3` has are beyond the register's lower half, and ignored as in Linux.
pub(super) fn sys_clone(
    cx: &mut SyscallCx<'_>,
    raw_flags: ULong,
    stack: Address,
    parent_tid: Address,
    child_tid: Address,
    tls: ULong,
) -> SyscallResult {
    let flags = CloneFlags::from_bits_truncate(raw_flags & 0xffff_ffff & !CSIGNAL);
    if flags.contains(CloneFlags::PIDFD | CloneFlags::PARENT_SETTID) {
        return Err(fail(errno::EINVAL, "both would be stored at `parent_tid`"));
    }
    if flags.contains(CloneFlags::PIDFD | CloneFlags::DETACHED) {
        return Err(fail(errno::EINVAL, "`CLONE_DETACHED` can't be with a pidfd"));
    }
    let exit_signal = exit_signal(raw_flags & CSIGNAL)?;
    clone(cx, &CloneArguments { flags, exit_signal, stack, tls, parent_tid, child_tid, pidfd: parent_tid })
}

/// Handles `clone3(args, size)`.
pub(super) fn sys_clone3(cx: &mut SyscallCx<'_>, args: Address, size: Size) -> SyscallResult {
    if size < CLONE_ARGS_SIZE_VER0 {
        return Err(fail(errno::EINVAL, "`size` is smaller than the first version"));
    }
    let known = size.min(size_of::<CloneArgs>());
    let mut raw = CloneArgs::default();
    if let Some(bytes) = raw.as_mut_bytes().get_mut(..known) {
        cx.memory().read_bytes(args, bytes)?;
    }
    cx.memory().check_zero_tail(args, known, size)?;
    let flags = CloneFlags::from_bits(raw.flags).ok_or(fail(errno::EINVAL, "unknown flags"))?;
    if flags.contains(CloneFlags::DETACHED) {
        return Err(fail(errno::EINVAL, "`CLONE_DETACHED` is not for clone3"));
    }
    if raw.set_tid_size != 0 || raw.set_tid != 0 {
        return Err(fail(errno::EPERM, "ids can't be chosen"));
    }
    if flags.intersects(CloneFlags::THREAD | CloneFlags::PARENT) && raw.exit_signal != 0 {
        return Err(fail(errno::EINVAL, "such a task has no exit signal of its own"));
    }
    if (raw.stack == 0) != (raw.stack_size == 0) {
        return Err(fail(errno::EINVAL, "`stack` and `stack_size` go together"));
    }
    let stack = raw.stack.checked_add(raw.stack_size).ok_or(fail(errno::EINVAL, "the stack wraps"))?;
    let exit_signal = exit_signal(raw.exit_signal)?;
    clone(
        cx,
        &CloneArguments {
            flags,
            exit_signal,
            stack: Address(stack),
            tls: raw.tls,
            parent_tid: Address(raw.parent_tid),
            child_tid: Address(raw.child_tid),
            pidfd: Address(raw.pidfd),
        },
    )
}

fn arguments(flags: CloneFlags, exit_signal: u8) -> CloneArguments {
    let null = Address::default();
    CloneArguments { flags, exit_signal, stack: null, tls: 0, parent_tid: null, child_tid: null, pidfd: null }
}

fn exit_signal(raw: u64) -> Result<u8, Fail> {
    match u8::try_from(raw) {
        Ok(signal @ 0..=Signal::COUNT) => Ok(signal),
        _ => Err(fail(errno::EINVAL, "no such exit signal")),
    }
}

/// Makes the task and lets it run; the caller of a `vfork` waits for it.
fn clone(cx: &mut SyscallCx<'_>, arguments: &CloneArguments) -> SyscallResult {
    if let Some(SyscallState::Vforked(child)) = cx.state() {
        return wait_for_vfork(cx, *child);
    }
    let task = task::clone_task(cx, arguments)?;
    let tid = task.tid();
    task.start();
    if arguments.flags.contains(CloneFlags::VFORK) {
        cx.set_state(SyscallState::Vforked(tid));
        return wait_for_vfork(cx, tid);
    }
    Ok(cx.number(tid).into())
}

/// Waits until `child` executes a program or ends. No signal but a fatal one interrupts this (`vfork(2)`).
fn wait_for_vfork(cx: &mut SyscallCx<'_>, child: Pid) -> SyscallResult {
    let Some(task) = cx.kernel().processes.task(child) else { return Ok(cx.number(child).into()) };
    cx.wake_on(task.vfork.queue(), Events::IN);
    if !task.vfork.is_pending() {
        return Ok(cx.number(child).into());
    }
    if cx.group().state().exit.is_some() {
        return Err(Fail::Restart(Restart::NoIntr));
    }
    Err(Fail::Park(Park { deadline: None, restart: Restart::NoIntr }))
}
