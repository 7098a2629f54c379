//! `/proc/stat`.

use std::fmt::Write;

use crate::kernel::Kernel;
use crate::task::number;
use crate::time::ticks;

/// Makes the text. The time of the living processes is told as the first processor's.
pub(super) fn text(kernel: &Kernel) -> String {
    let tree = kernel.processes.lock();
    let mut time = cloister_platform::CpuTime::default();
    for process in tree.processes() {
        time = time + process.group.state().ended_threads_time;
    }
    for thread in tree.tasks().filter_map(|task| task.thread()) {
        time = time + thread.cpu_time();
    }
    let (user, system) = (ticks(time.user), ticks(time.system));
    let up = ticks(kernel.clock.boottime());
    let cpus = u64::from(kernel.options.cpus);
    let idle = up.saturating_mul(cpus).saturating_sub(user + system);
    let mut text = format!("cpu  {user} 0 {system} {idle} 0 0 0 0 0 0\n");
    for cpu in 0..cpus {
        let (user, system) = if cpu == 0 { (user, system) } else { (0, 0) };
        // Writing to a string can't fail.
        let _ = writeln!(text, "cpu{cpu} {user} 0 {system} {} 0 0 0 0 0 0", up.saturating_sub(user + system));
    }
    let started = kernel.clock.realtime().saturating_sub(kernel.clock.boottime()).as_secs();
    let running = tree.tasks().filter(|task| task.is_running()).count().max(1);
    let _ = write!(
        text,
        "intr 0\nctxt 0\nbtime {started}\nprocesses {}\nprocs_running {running}\nprocs_blocked 0\n\
         softirq 0 0 0 0 0 0 0 0 0 0 0\n",
        number(tree.last_pid()),
    );
    text
}
