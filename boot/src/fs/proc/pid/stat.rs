//! `/proc/PID/stat` and `/proc/PID/statm`.

use std::fmt::Write;

use cloister_platform::CpuTime;

use super::Subject;
use crate::error::Errno;
use crate::prelude::errno;
use crate::signal;
use crate::task::{Task, number};
use crate::time::ticks;
use crate::tty::job_control;

/// The size of a page in bytes.
const PAGE: u64 = 4096;

/// Returns the letter of a subject's state: running, sleeping, stopped, zombie.
pub(super) fn state_letter(subject: &Subject) -> char {
    let is_stopped = {
        let tree = subject.kernel.processes.lock();
        tree.process(subject.tgid).is_some_and(signal::is_stopped)
    };
    match subject.task() {
        Err(_) => 'Z',
        Ok(_) if is_stopped => 'T',
        Ok(task) if task.is_running() => 'R',
        Ok(_) => 'S',
    }
}

/// Returns the processor time of a subject: a thread's own, or all of a process'.
fn cpu_time(subject: &Subject) -> CpuTime {
    let own = |task: &std::sync::Arc<Task>| task.thread().map(|thread| thread.cpu_time()).unwrap_or_default();
    if subject.tid.is_some() {
        return subject.task().map(|task| own(&task)).unwrap_or_default();
    }
    let tree = subject.kernel.processes.lock();
    let Some(process) = tree.process(subject.tgid) else { return CpuTime::default() };
    let ended = process.group.state().ended_threads_time;
    process.tasks.iter().map(own).fold(ended, |sum, time| sum + time)
}

/// Makes the text of `stat`.
pub(super) fn text(subject: &Subject, _reader: &Task) -> Result<Vec<u8>, Errno> {
    let group = subject.group()?;
    let task = subject.task().ok();
    let (parent, process_group, session, threads, exit_signal, zombie_name, (terminal, foreground)) = {
        let tree = subject.kernel.processes.lock();
        let p = tree.process(subject.tgid).ok_or(errno::ESRCH)?;
        (
            number(p.parent),
            number(p.process_group),
            number(p.session),
            p.tasks.len().max(1),
            p.exit_signal,
            p.name.clone(),
            job_control::for_stat(tree.sessions(), p.session),
        )
    };
    let name = task.as_ref().map_or(zombie_name, |task| task.name());
    let (time, children) = (cpu_time(subject), group.state().children_time);
    let started = task.as_ref().map(|task| task.started()).unwrap_or_default();
    let age = subject.kernel.clock.monotonic().saturating_duration_since(started);
    let start_ticks = ticks(subject.kernel.clock.boottime().saturating_sub(age));
    let mm = subject.mm();
    let totals = mm.as_ref().map(|mm| mm.totals()).unwrap_or_default();
    let program = mm.as_ref().map(|mm| mm.program()).unwrap_or_default();
    let limit = u64::MAX;
    let mut text = String::new();
    // Writing to a string can't fail.
    let _ = writeln!(
        text,
        "{} ({}) {} {parent} {process_group} {session} {terminal} {foreground} 0 0 0 0 0 {} {} {} {} 20 0 {threads} 0 \
         {start_ticks} {} {} {limit} {} {} {} 0 0 0 0 0 0 0 0 0 {exit_signal} 0 0 0 0 0 0 {} {} {} {} {} {} {} 0",
        number(subject.id()),
        String::from_utf8_lossy(&name),
        state_letter(subject),
        ticks(time.user),
        ticks(time.system),
        ticks(children.user),
        ticks(children.system),
        totals.all,
        totals.accessible / PAGE,
        program.code.start,
        program.code.end,
        program.stack_start,
        program.data.start,
        program.data.end,
        mm.as_ref().map_or(0, |mm| mm.heap().start),
        program.arguments.start,
        program.arguments.end,
        program.environment.start,
        program.environment.end,
    );
    Ok(text.into_bytes())
}

/// Makes the text of `statm`: in pages.
pub(super) fn statm(subject: &Subject, _reader: &Task) -> Result<Vec<u8>, Errno> {
    subject.group()?;
    let totals = subject.mm().map(|mm| mm.totals()).unwrap_or_default();
    let pages = [
        totals.all,
        totals.accessible,
        totals.files.saturating_add(totals.shared_memory),
        totals.code,
        0,
        totals.data.saturating_add(totals.stack),
        0,
    ];
    let texts: Vec<String> = pages.iter().map(|bytes| (bytes / PAGE).to_string()).collect();
    Ok((texts.join(" ") + "\n").into_bytes())
}
