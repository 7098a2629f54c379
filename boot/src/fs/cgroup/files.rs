//! The files of a group.

use std::fmt::Write;

use super::Group;
use crate::task::Pid;

/// Makes the text of a file.
pub(super) type Make = fn(&Group) -> String;

/// The names of files, and how their texts are made.
pub(super) const FILES: &[(&str, Make)] = &[
    ("cgroup.controllers", |_| "cpu memory pids\n".to_owned()),
    ("cgroup.events", |group| format!("populated 1\nfrozen {}\n", u8::from(group.tasks.freezer.is_frozen()))),
    ("cgroup.freeze", |group| format!("{}\n", u8::from(group.tasks.freezer.is_frozen()))),
    ("cgroup.max.depth", |_| "max\n".to_owned()),
    ("cgroup.max.descendants", |_| "0\n".to_owned()),
    ("cgroup.procs", processes),
    ("cgroup.stat", |_| "nr_descendants 0\nnr_dying_descendants 0\n".to_owned()),
    ("cgroup.subtree_control", |_| "\n".to_owned()),
    ("cgroup.threads", threads),
    ("cgroup.type", |_| "domain\n".to_owned()),
    ("cpu.max", cpu_max),
    ("cpu.stat", cpu_stat),
    ("memory.current", |group| format!("{}\n", group.memory.current(group))),
    ("memory.events", |group| group.memory.events()),
    ("memory.high", |_| "max\n".to_owned()),
    ("memory.low", |_| "0\n".to_owned()),
    ("memory.max", |group| or_max(group.limits.memory)),
    ("memory.min", |_| "0\n".to_owned()),
    ("memory.stat", |group| group.memory.stat(group)),
    ("pids.current", |group| format!("{}\n", group.tasks.nr_tasks())),
    ("pids.max", |group| or_max(group.tasks.limit())),
];

fn or_max(limit: Option<u64>) -> String {
    limit.map_or_else(|| "max\n".to_owned(), |limit| format!("{limit}\n"))
}

fn processes(group: &Group) -> String {
    let tree = group.kernel.processes.lock();
    let living = tree.processes_of(&group.tasks).filter(|process| process.zombie.is_none());
    lines(group, living.map(|process| process.group.tgid()))
}

fn threads(group: &Group) -> String {
    lines(group, group.kernel.processes.lock().tasks_of(&group.tasks).map(|task| task.tid()))
}

fn lines(group: &Group, ids: impl Iterator<Item = Pid>) -> String {
    ids.map(|id| group.tasks.pid_namespace.number(id)).fold(String::new(), |mut text, id| {
        // Writing to a string can't fail.
        let _ = writeln!(text, "{id}");
        text
    })
}

/// The time that all processes may use in a period, in microseconds.
fn cpu_max(group: &Group) -> String {
    const DEFAULT_PERIOD: u64 = 100_000;
    match group.limits.cpu_quota {
        Some((quota, period)) => format!("{quota} {period}\n"),
        None => format!("max {DEFAULT_PERIOD}\n"),
    }
}

/// The processor time of all processes, those that have ended included.
fn cpu_stat(group: &Group) -> String {
    let tree = group.kernel.processes.lock();
    let living = tree.processes_of(&group.tasks).filter(|process| process.zombie.is_none());
    let time = living.fold(group.tasks.ended_time(), |sum, process| sum + process.cpu_time());
    drop(tree);
    let (user, system) = (time.user.as_micros(), time.system.as_micros());
    format!("usage_usec {}\nuser_usec {user}\nsystem_usec {system}\n", user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted() {
        assert!(FILES.is_sorted_by_key(|(name, _)| *name));
    }
}
