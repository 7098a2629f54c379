//! `Stacks`, `Statistics`, `Strace` and `SetLog`: looking into the kernel.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use cloister_proto::control::{ErrorKind, Failure, StacksReply, StatisticsReply};

use super::Container;
use crate::kernel::Kernel;
use crate::log;
use crate::syscall::CallSet;
use crate::task::{Task, number};

/// Tells what every task is doing.
pub(super) fn stacks(kernel: &Kernel) -> StacksReply {
    let tasks: Vec<_> = kernel.processes.lock().tasks().cloned().collect();
    let containers = kernel.containers.all();
    let mut text = String::new();
    for task in tasks {
        let name = task.name();
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "task {} of process {} [{}]{}\n    {}\n",
            number(task.tid()),
            number(task.group().tgid()),
            String::from_utf8_lossy(&name),
            container_of(&containers, &task),
            task.describe_activity(),
        );
    }
    StacksReply { text }
}

/// Traces these system calls from now on.
pub(super) fn strace(kernel: &Kernel, calls: &str) -> Result<(), Failure> {
    let calls = calls.parse::<CallSet>();
    kernel.strace.set(&calls.map_err(|error| Failure::new(ErrorKind::InvalidArgument, error.to_string()))?);
    Ok(())
}

/// Logs what this filter lets through from now on.
pub(super) fn set_log(filter: &str) -> Result<(), Failure> {
    log::set_filter(filter)
        .map_err(|error| Failure::new(ErrorKind::InvalidArgument, format!("log filter {filter:?}: {error}")))
}

/// Returns in which container a task is, for a sandbox with several.
fn container_of(containers: &[Arc<Container>], task: &Task) -> String {
    let is_its = |container: &&Arc<Container>| Arc::ptr_eq(&container.tasks, task.group().tasks());
    let found = containers.iter().find(is_its).filter(|_| containers.len() > 1);
    found.map(|container| format!(" in container {}", container.id)).unwrap_or_default()
}

/// Tells what a container uses.
pub(super) fn statistics(kernel: &Kernel, id: &str) -> Result<StatisticsReply, Failure> {
    let tasks = Arc::clone(&kernel.containers.get(id)?.tasks);
    let tree = kernel.processes.lock();
    let mut memory_holders: Vec<i32> =
        tree.tasks_of(&tasks).filter_map(|task| Some(task.mm()?.space().holder())).collect();
    memory_holders.sort_unstable();
    memory_holders.dedup();
    let living = tree.processes_of(&tasks).filter(|process| process.zombie.is_none());
    let time = living.fold(tasks.ended_time(), |time, process| time + process.cpu_time());
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    Ok(StatisticsReply {
        tasks: tasks.nr_tasks(),
        user_time: nanoseconds(time.user),
        system_time: nanoseconds(time.system),
        memory_holders,
        syscalls: kernel.syscalls_handled(),
    })
}
