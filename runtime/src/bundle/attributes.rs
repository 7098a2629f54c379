//! What a process is to have set for itself: scheduling, priorities, the execution domain.

use cloister_proto::container::Scheduling;
use oci_spec::runtime::{
    IOPriorityClass, Linux, LinuxIOPriority, LinuxPersonalityDomain, LinuxSchedulerFlag as Flag,
    LinuxSchedulerPolicy as Policy, Scheduler,
};
use tracing::warn;

use super::BundleError;

/// Converts `process.scheduler`.
///
/// # Errors
///
/// Policies that the sandbox's kernel has not, and values out of range.
pub(super) fn scheduling(scheduler: Option<&Scheduler>, field: &str) -> Result<Scheduling, BundleError> {
    let Some(scheduler) = scheduler else { return Ok(Scheduling::default()) };
    let bad = |name: &str, problem: String| BundleError::field(format!("{field}.scheduler.{name}"), problem);
    let (policy, real_time) = match scheduler.policy() {
        Policy::SchedOther => (libc::SCHED_OTHER, false),
        Policy::SchedBatch => (libc::SCHED_BATCH, false),
        Policy::SchedIdle => (libc::SCHED_IDLE, false),
        Policy::SchedFifo => (libc::SCHED_FIFO, true),
        Policy::SchedRr => (libc::SCHED_RR, true),
        other @ (Policy::SchedIso | Policy::SchedDeadline) => {
            return Err(bad(
                "policy",
                format!("{other} is not supported: use SCHED_OTHER, SCHED_FIFO or another"),
            ));
        }
    };
    let priority = scheduler.priority().unwrap_or(if real_time { 1 } else { 0 });
    let priority = u32::try_from(priority).ok().filter(|priority| match real_time {
        true => (1..=99).contains(priority),
        false => *priority == 0,
    });
    let nice = scheduler.nice().unwrap_or(0);
    if !(-20..20).contains(&nice) {
        return Err(bad("nice", format!("{nice} is not within -20 and 19")));
    }
    for flag in scheduler.flags().iter().flatten().filter(|flag| **flag != Flag::SchedResetOnFork) {
        warn!("{field}.scheduler.flags: {flag} has no effect in a sandbox");
    }
    Ok(Scheduling {
        policy: policy.unsigned_abs(),
        priority: priority.ok_or_else(|| {
            bad(
                "priority",
                "is not one of the policy's: 1 to 99 for SCHED_FIFO and SCHED_RR, 0 for others".into(),
            )
        })?,
        nice,
        resets_on_fork: scheduler.flags().iter().flatten().any(|flag| *flag == Flag::SchedResetOnFork),
    })
}

/// Converts `process.ioPriority` to what `ioprio_set(2)` takes.
///
/// # Errors
///
/// A priority out of range.
pub(super) fn io_priority(priority: Option<&LinuxIOPriority>, field: &str) -> Result<u16, BundleError> {
    const CLASS_SHIFT: u32 = 13;
    let Some(priority) = priority else { return Ok(0) };
    let class: u16 = match priority.class() {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    let level = u16::try_from(priority.priority()).ok().filter(|level| *level < 8);
    let level = level.ok_or_else(|| {
        let problem = format!("{} is not within 0 and 7", priority.priority());
        BundleError::field(format!("{field}.ioPriority.priority"), problem)
    })?;
    Ok(class << CLASS_SHIFT | level)
}

/// Converts `linux.personality` to what `personality(2)` takes.
///
/// # Errors
///
/// Flags, of which the specification has none.
pub(super) fn personality(linux: Option<&Linux>) -> Result<u32, BundleError> {
    let Some(personality) = linux.and_then(|linux| linux.personality().as_ref()) else { return Ok(0) };
    if personality.flags().as_ref().is_some_and(|flags| !flags.is_empty()) {
        return Err(BundleError::field("linux.personality.flags", "there are none in the specification"));
    }
    Ok(match personality.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scheduled(json: &str) -> Result<Scheduling, String> {
        scheduling(Some(&serde_json::from_str(json).unwrap()), "process").map_err(|error| error.to_string())
    }

    #[test]
    fn scheduling_has_linux_numbers() {
        let batch = scheduled(r#"{"policy": "SCHED_BATCH", "nice": 5, "flags": ["SCHED_RESET_ON_FORK"]}"#);
        assert_eq!(batch, Ok(Scheduling { policy: 3, priority: 0, nice: 5, resets_on_fork: true }));
        let fifo = scheduled(r#"{"policy": "SCHED_FIFO", "priority": 50}"#).unwrap();
        assert_eq!((fifo.policy, fifo.priority), (1, 50));
        let cases = [
            (r#"{"policy": "SCHED_DEADLINE"}"#, "process.scheduler.policy SCHED_DEADLINE is not supported"),
            (r#"{"policy": "SCHED_OTHER", "priority": 1}"#, "process.scheduler.priority"),
            (r#"{"policy": "SCHED_RR", "priority": 100}"#, "process.scheduler.priority"),
            (r#"{"policy": "SCHED_OTHER", "nice": 20}"#, "process.scheduler.nice 20"),
        ];
        for (json, expected) in cases {
            let error = scheduled(json).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn io_priorities_are_class_and_level() {
        let priority = |json: &str| io_priority(Some(&serde_json::from_str(json).unwrap()), "process");
        assert_eq!(priority(r#"{"class": "IOPRIO_CLASS_BE", "priority": 4}"#).unwrap(), 2 << 13 | 4);
        priority(r#"{"class": "IOPRIO_CLASS_RT", "priority": 8}"#).unwrap_err();
    }
}
