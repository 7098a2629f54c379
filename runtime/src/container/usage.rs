//! The memory of a sandbox's processes, as the host counts it.

use std::fs;

use serde::Serialize;

use crate::state::Record;

/// The memory of a sandbox's processes in bytes. What processes share is divided among them (`Pss` of
/// `proc_pid_smaps(5)`), so that sums are right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// The sandbox's kernel, with the files that it keeps in memory as far as it has touched them.
    pub kernel: u64,
    /// The container's programs.
    pub programs: u64,
    /// The file server.
    pub file_server: u64,
    /// All together.
    pub total: u64,
}

impl Usage {
    /// Looks at the processes of a container's sandbox. Those that have ended use nothing.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        // Held, so that their ids are not another's meanwhile.
        let (boot, gofer) = (record.boot.open(), record.gofer.open());
        let kernel = boot.as_ref().map_or(0, |_| memory(record.boot.pid));
        let programs =
            boot.as_ref().map_or(0, |_| descendants(record.boot.pid).into_iter().map(memory).sum());
        let file_server = gofer.as_ref().map_or(0, |_| memory(record.gofer.pid));
        Self { kernel, programs, file_server, total: kernel + programs + file_server }
    }
}

/// The memory of one container's programs in bytes, which `holders` have: processes as the kernel's PID namespace numbers
/// them.
#[must_use]
pub fn programs_of(record: &Record, holders: &[i32]) -> u64 {
    // Held, so that its id is not another's meanwhile.
    let Some(_boot) = record.boot.open() else { return 0 };
    let is_holder = |pid: &i32| number_inside(*pid).is_some_and(|number| holders.contains(&number));
    descendants(record.boot.pid).into_iter().filter(is_holder).map(memory).sum()
}

/// The memory of a container's file server in bytes.
#[must_use]
pub fn file_server_of(record: &Record) -> u64 {
    record.gofer.open().map_or(0, |_| memory(record.gofer.pid))
}

/// The id of a process in the innermost PID namespace that it is in (`NSpid` of `proc_pid_status(5)`).
fn number_inside(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("NSpid:")?.split_whitespace().last()?.parse().ok())
}

/// The proportional share of memory of a process, in bytes.
fn memory(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let share = text.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB"));
    share.and_then(|share| share.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// The children of a process, theirs, and so on.
fn descendants(pid: i32) -> Vec<i32> {
    let mut found = children(pid);
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        found.extend(children(pid));
        next += 1;
    }
    found
}

fn children(pid: i32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, id};

    #[test]
    fn processes_use_memory() {
        let own = i32::try_from(id()).unwrap();
        assert!(memory(own) > 100_000, "{}", memory(own));
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert!(descendants(own).contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(memory(i32::MAX), 0);
        assert!(number_inside(own).is_some_and(|number| number > 0));
    }
}
