//! Who is killed first when the host, or a control group, lacks memory: the sandbox's programs, and not what serves them.
//!
//! The processes that hold the guest's code are forked off one that the kernel makes when it starts, with the value that the
//! kernel has then (`proc_pid_oom_score_adj(5)`); when it has started, its own value is lowered.

use rustix::process::Pid;
use rustix::thread::{CapabilitySet, capabilities};

/// What the processes of a sandbox have as `/proc/PID/oom_score_adj`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OomScores {
    /// The programs.
    pub programs: i32,
    /// The kernel, once it has started, and the file server.
    pub own: i32,
}

/// How far the values are apart where they can be as they should.
const APART: i32 = 500;
/// How far the programs' is above what is asked for where nothing can be below it.
const ABOVE: i32 = 100;

impl OomScores {
    /// Chooses the values. `wanted` is the configuration's; without it, ours.
    #[must_use]
    pub fn choose(wanted: Option<i32>) -> Self {
        // A value can be lowered to what it once was by everyone, and below that by this capability.
        let may_lower =
            capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_RESOURCE));
        let ours = || std::fs::read_to_string("/proc/self/oom_score_adj").ok()?.trim().parse().ok();
        Self::apart(wanted.or_else(ours).unwrap_or(0).clamp(-1000, 1000), may_lower)
    }

    fn apart(wanted: i32, may_lower: bool) -> Self {
        if may_lower {
            // -1000 would be never: a kernel that grows without programs must end, too.
            Self { programs: wanted, own: (wanted - APART).max(-999).min(wanted) }
        } else {
            Self { programs: (wanted + ABOVE).min(1000), own: wanted }
        }
    }

    /// Sets a process' value. Not everyone may, and a sandbox works without.
    pub fn set(pid: Pid, value: i32) {
        let path = format!("/proc/{}/oom_score_adj", pid.as_raw_nonzero());
        if let Err(error) = std::fs::write(&path, value.to_string()) {
            tracing::debug!("cannot write {value} to {path}: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_go_first() {
        for (wanted, may_lower, programs, own) in [
            (0, true, 0, -500),
            (-998, true, -998, -999),
            (-1000, true, -1000, -1000),
            (0, false, 100, 0),
            (1000, false, 1000, 1000),
        ] {
            assert_eq!(
                OomScores::apart(wanted, may_lower),
                OomScores { programs, own },
                "{wanted} {may_lower}"
            );
        }
    }
}
