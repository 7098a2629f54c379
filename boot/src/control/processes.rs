//! `Processes`: the list of a container's processes.

use cloister_proto::ByteString;
use cloister_proto::control::{Failure, Process as Reply, ProcessesReply};

use crate::kernel::Kernel;
use crate::task::Process;

/// Lists the processes of a container.
pub(super) fn processes(kernel: &Kernel, id: &str) -> Result<ProcessesReply, Failure> {
    kernel.containers.get(id)?;
    let tree = kernel.processes.lock();
    Ok(ProcessesReply { processes: tree.processes().map(|process| describe(kernel, process)).collect() })
}

fn describe(kernel: &Kernel, process: &Process) -> Reply {
    let leader = process.tasks.first();
    let time = process
        .tasks
        .iter()
        .filter_map(|task| task.thread())
        .fold(process.group.state().ended_threads_time, |sum, thread| sum + thread.cpu_time());
    let name = leader.map(|task| task.name()).unwrap_or_default();
    let command = vec![ByteString::from([b"[", &*name, b"]"].concat())];
    let started = leader.map(|task| task.started()).unwrap_or_default();
    let age = kernel.clock.monotonic().saturating_duration_since(started);
    Reply {
        pid: process.group.tgid(),
        ppid: process.parent,
        uid: leader.map_or(process.uid, |task| task.credentials().uid),
        state: leader.map_or(b'Z', |task| if task.is_running() { b'R' } else { b'S' }),
        cpu_time: nanoseconds(time.user.saturating_add(time.system)),
        start_time: nanoseconds(kernel.clock.realtime().saturating_sub(age)),
        threads: u32::try_from(process.tasks.len()).unwrap_or(u32::MAX),
        command,
    }
}

fn nanoseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
