//! Executing programs (`execve(2)`).
//!
//! What a caller can do wrong is found first, while it could still be told. Then the other threads of its process end;
//! the call waits for that, and is run again. Then the program is loaded into an address space of its own, which takes
//! the place of the caller's at once.

use std::sync::Arc;

use cloister_platform::Thread;

use super::exit::{other_tasks, request_exit};
use super::{ExitStatus, Resource, futex};
use crate::context::SyscallCx;
use crate::error::{Fail, Outcome, Restart, SyscallResult, fail};
use crate::event::Events;
use crate::fs::FdTable;
use crate::kernel::Park;
use crate::loader::{self, Arguments, Loaded, Prepared, Program};
use crate::mm::{MemoryLimits, Mm};
use crate::signal::Signal;
use crate::syscall::{Address, SyscallState};

/// Puts `program` in place of the one that the caller's process runs.
///
/// # Errors
///
/// As `execve(2)`. Once the other threads were told to end, a failure ends the process.
pub(crate) fn execute(
    cx: &mut SyscallCx<'_>,
    program: Program,
    arguments: Address,
    environment: Address,
) -> SyscallResult {
    if cx.state() == Some(&SyscallState::Executing) {
        wait_for_threads(cx)?;
    }
    let result = try_execute(cx, program, arguments, environment);
    let is_over = result.as_ref().is_err_and(|failure| !matches!(failure, Fail::Park(_)));
    if is_over && cx.group().state().executing == Some(cx.task.tid()) {
        request_exit(cx.group(), ExitStatus::Signaled { signal: Signal::KILL.number(), core_dumped: false });
    }
    result
}

/// Gives the calling task, which is new and the only one of its process, its first program.
///
/// # Errors
///
/// As `execve(2)`; the task is as it was then.
pub(crate) fn start_program(
    cx: &mut SyscallCx<'_>,
    program: Program,
    arguments: Arguments,
) -> Result<(), Fail> {
    let stack_limit = cx.group().rlimit(Resource::Stack);
    let prepared = loader::prepare(cx, program, arguments, stack_limit)?;
    let new = load(cx, prepared)?;
    commit(cx, new);
    Ok(())
}

fn try_execute(
    cx: &mut SyscallCx<'_>,
    program: Program,
    arguments: Address,
    environment: Address,
) -> SyscallResult {
    let stack_limit = cx.group().rlimit(Resource::Stack);
    let arguments = Arguments::read(&cx.memory(), arguments, environment, stack_limit)?;
    let prepared = loader::prepare(cx, program, arguments, stack_limit)?;
    if !is_alone(cx) {
        end_other_threads(cx)?;
        wait_for_threads(cx)?;
    }
    let new = load(cx, prepared)?;
    commit(cx, new);
    Ok(Outcome::RegistersSet)
}

/// A program that waits to be run.
struct New {
    mm: Arc<Mm>,
    thread: Arc<dyn Thread>,
    loaded: Loaded,
}

/// Loads a program beside the one that the caller runs.
fn load(cx: &SyscallCx<'_>, prepared: Prepared) -> Result<New, Fail> {
    let space = cx.kernel().platform.new_address_space();
    let space = space.map_err(|errno| fail(errno, "the host has no room for a process"))?;
    let limits = MemoryLimits::new(&cx.group().rlimits(), &cx.credentials());
    let mm = Mm::new(space, limits, cx.task.attributes.lock().randomization());
    let loaded = prepared.load(cx, &mm)?;
    let thread = Arc::clone(mm.space()).spawn(None, Arc::clone(cx.task) as Arc<_>);
    let thread = thread.map_err(|errno| fail(errno, "the host has no room for a thread"))?;
    Ok(New { mm, thread, loaded })
}

/// Makes the caller what it is to be.
fn commit(cx: &mut SyscallCx<'_>, new: New) {
    let New { mm, thread, loaded } = new;
    cx.kernel().processes.lock().on_exec(cx.task);
    cx.group().state().finish_exec();
    futex::on_task_exit(cx);
    // The old host thread ends here, and with the last reference to it the old address space.
    cx.task.set_thread(thread);
    cx.run.registers = loaded.registers;
    cx.run.restart_block = None;
    let old_mm = std::mem::replace(&mut cx.run.mm, Arc::clone(&mm));
    let actions = Arc::new(cx.task.actions().for_exec());
    let old = {
        let mut parts = cx.task.parts();
        parts.credentials = Arc::new(loaded.credentials);
        (parts.mm.replace(mm), std::mem::replace(&mut parts.actions, actions))
    };
    drop((old, old_mm));
    if loaded.is_secure {
        cx.task.attributes.lock().on_secure_exec();
    } else {
        cx.task.attributes.lock().is_dumpable = true;
    }
    cx.task.signals.lock().on_exec();
    cx.group().timers.on_exec();
    cx.task.set_name(&loaded.name);
    cx.task.vfork.release();
    unshare_files(cx);
    cx.run.files.close_on_exec(cx.task);
}

/// Gives the caller a descriptor table of its own, if it shares one.
fn unshare_files(cx: &mut SyscallCx<'_>) {
    // One reference is the caller's own, another its copy for others.
    if Arc::strong_count(&cx.run.files) <= 2 {
        return;
    }
    let files = Arc::new(FdTable::copy_of(&cx.run.files));
    let shared = std::mem::replace(&mut cx.run.files, Arc::clone(&files));
    let also_shared = cx.task.parts().files.replace(files);
    drop(also_shared);
    shared.release(cx.task);
}

fn is_alone(cx: &SyscallCx<'_>) -> bool {
    other_tasks(cx).is_empty()
}

/// Tells the other threads of the caller's process to end.
fn end_other_threads(cx: &mut SyscallCx<'_>) -> Result<(), Fail> {
    {
        let mut state = cx.group().state();
        if state.exit.is_some() || state.leaves_for_exec(cx.task.tid()) {
            // The caller is to end itself.
            return Err(Fail::Restart(Restart::NoIntr));
        }
        state.executing = Some(cx.task.tid());
    }
    cx.set_state(SyscallState::Executing);
    for task in other_tasks(cx) {
        task.kick();
    }
    Ok(())
}

/// Waits until the caller is the only thread of its process. Signals that do not end the process do not interrupt it.
fn wait_for_threads(cx: &mut SyscallCx<'_>) -> Result<(), Fail> {
    let group = Arc::clone(cx.group());
    cx.wake_on(&group.thread_events, Events::IN);
    if is_alone(cx) {
        return Ok(());
    }
    if group.state().exit.is_some() {
        return Err(Fail::Restart(Restart::NoIntr));
    }
    Err(Fail::Park(Park { deadline: None, restart: Restart::NoIntr }))
}
