//! `Stacks` and `Statistics`: looking into the kernel.

use std::fmt::Write;

use cloister_proto::control::{StacksReply, StatisticsReply};

use crate::kernel::Kernel;

/// Tells what every task is doing.
pub(super) fn stacks(kernel: &Kernel) -> StacksReply {
    let tasks: Vec<_> = kernel.processes.lock().tasks().cloned().collect();
    let mut text = String::new();
    for task in tasks {
        let name = task.name();
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "task {} of process {} [{}]\n    {}\n",
            task.tid(),
            task.group().tgid(),
            String::from_utf8_lossy(&name),
            task.describe_activity(),
        );
    }
    StacksReply { text }
}

/// Tells what the sandbox uses.
pub(super) fn statistics(kernel: &Kernel) -> StatisticsReply {
    let tree = kernel.processes.lock();
    let mut reply = StatisticsReply { syscalls: kernel.syscalls_handled(), ..StatisticsReply::default() };
    for task in tree.tasks() {
        reply.tasks += 1;
        let time = task.thread().map(|thread| thread.cpu_time()).unwrap_or_default();
        reply.user_time += u64::try_from(time.user.as_nanos()).unwrap_or(0);
        reply.system_time += u64::try_from(time.system.as_nanos()).unwrap_or(0);
    }
    reply
}
