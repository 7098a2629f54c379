//! Processes that outlive the command that started them.

use std::fs;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

/// A process named so that no other is taken for it: ids are used again, but not with the same start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Process id.
    pub pid: i32,
    /// Start time in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub start_time: u64,
}

impl ProcessIdentity {
    /// The identity of a process that runs now; `None` if there is none of this id.
    #[must_use]
    pub fn of(pid: Pid) -> Option<Self> {
        let pid = pid.as_raw_nonzero().get();
        Some(Self { pid, start_time: start_time(pid)? })
    }

    /// Opens the process if it still runs; a zombie does not.
    #[must_use]
    pub fn open(&self) -> Option<OwnedFd> {
        let pid = Pid::from_raw(self.pid)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        // Checked after the process is held: while it is, its id cannot go to another.
        (start_time(self.pid) == Some(self.start_time)).then_some(pidfd)
    }
}

/// Start time of a process; `None` if it has ended.
fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything, parentheses as well.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_of_the_same_id_is_not_taken_for_it() {
        let ours = ProcessIdentity::of(rustix::process::getpid()).unwrap();
        assert!(ours.open().is_some());
        let earlier = ProcessIdentity { start_time: ours.start_time - 1, ..ours };
        assert!(earlier.open().is_none());
        assert!(ProcessIdentity { pid: i32::MAX, start_time: 0 }.open().is_none());
    }

    #[test]
    fn a_zombie_has_ended() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let identity = start_time(pid).map(|start_time| ProcessIdentity { pid, start_time });
        while identity.is_some_and(|identity| identity.open().is_some()) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }
}
