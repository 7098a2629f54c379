//! `Processes`: the list of a container's processes.

use std::sync::Arc;

use cloister_proto::ByteString;
use cloister_proto::control::{Failure, Process as Reply, ProcessesReply};

use crate::fs::proc;
use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::signal;
use crate::task::{Process, number};

/// The most bytes of a command line that are told, as Linux does in `/proc/PID/cmdline` of old.
const MAX_COMMAND: u64 = 4096;
/// The most bytes of all command lines together: a reply has its limit.
const MAX_COMMANDS: u64 = 2 << 20;

/// Lists the processes of a container.
pub(super) fn processes(kernel: &Kernel, id: &str) -> Result<ProcessesReply, Failure> {
    let container = kernel.containers.get(id)?;
    let described: Vec<_> = {
        let tree = kernel.processes.lock();
        tree.processes_of(&container.tasks).map(|process| describe(kernel, process)).collect()
    };
    // Their memory is looked at without the tree's lock.
    let mut left = MAX_COMMANDS;
    let with_command = |(mut reply, mm): (Reply, Option<Arc<Mm>>)| {
        let line = mm.map(|mm| proc::command_line(&mm, MAX_COMMAND.min(left))).unwrap_or_default();
        left -= line.len() as u64;
        if !line.is_empty() {
            let words = line.strip_suffix(b"\0").unwrap_or(&line).split(|byte| *byte == 0);
            reply.command = words.map(ByteString::from).collect();
        }
        reply
    };
    Ok(ProcessesReply { processes: described.into_iter().map(with_command).collect() })
}

/// Describes a process, with its name in the place of its command line, and tells in what memory that is.
fn describe(kernel: &Kernel, process: &Process) -> (Reply, Option<Arc<Mm>>) {
    let leader = process.tasks.first();
    let time = process
        .tasks
        .iter()
        .filter_map(|task| task.thread())
        .fold(process.group.state().ended_threads_time, |sum, thread| sum + thread.cpu_time());
    let name = leader.map_or_else(|| process.name.clone(), |task| task.name());
    let started = leader.map(|task| task.started()).unwrap_or_default();
    let age = kernel.clock.monotonic().saturating_duration_since(started);
    let state = match leader {
        None => b'Z',
        Some(_) if signal::is_stopped(process) => b'T',
        Some(task) if task.is_running() => b'R',
        Some(_) => b'S',
    };
    let reply = Reply {
        pid: number(process.group.tgid()),
        ppid: number(process.parent),
        uid: leader.map_or(process.uid, |task| task.credentials().uid),
        state,
        cpu_time: nanoseconds(time.total()),
        start_time: nanoseconds(kernel.clock.realtime().saturating_sub(age)),
        threads: u32::try_from(process.tasks.len()).unwrap_or(u32::MAX),
        command: vec![ByteString::from([b"[", &*name, b"]"].concat())],
        name: ByteString::from(&*name),
    };
    (reply, leader.and_then(|task| task.mm()))
}

fn nanoseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
