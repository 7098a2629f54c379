//! `linux.resources` as files of a group and what is written to them.

use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxResources};
use serde_json::Value;

use super::{CgroupError, Version};

/// A file of a group and what is written to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// The controller whose file it is; empty for the group's own.
    pub(super) controller: String,
    /// The file.
    pub(super) file: String,
    /// What is written.
    pub(super) value: String,
}

/// The limit of memory and swap together; version 1.
pub(super) const MEMSW: &str = "memory.memsw.limit_in_bytes";

/// Most host tasks beside those of the guest's: the kernel's, the file server's, and spare processes.
const OWN_TASKS: i64 = 64;
/// Host tasks behind a task of the guest: its own, and a helper for each address space.
const TASKS_EACH: i64 = 2;

/// Returns the settings that come to limits, in the order in which they are to be made.
///
/// # Errors
///
/// Names of `unified` that are no files, or make no sense with version 1.
pub(super) fn settings(resources: &LinuxResources, version: Version) -> Result<Vec<Setting>, CgroupError> {
    let mut list = List(Vec::new());
    match version {
        Version::V1 => {
            resources.memory().iter().for_each(|memory| list.memory_v1(memory));
            resources.cpu().iter().for_each(|cpu| list.cpu_v1(cpu));
        }
        Version::V2 => {
            resources.memory().iter().for_each(|memory| list.memory_v2(memory));
            resources.cpu().iter().for_each(|cpu| list.cpu_v2(cpu));
        }
    }
    let pids = resources.pids().map(|pids| pids.limit()).filter(|limit| *limit != 0);
    list.add("pids", "pids.max", pids.map(|limit| max_or(room_for(limit))));
    let mut unified: Vec<_> = resources.unified().iter().flatten().collect();
    unified.sort();
    for (name, value) in unified {
        let fail = |problem| CgroupError::Unified { name: name.clone(), problem };
        if version == Version::V1 {
            return Err(fail("is of version 2, but this machine uses control groups of version 1"));
        }
        let is_file = !name.contains('/') && !name.starts_with("cgroup.");
        let controller =
            name.split_once('.').map(|(controller, _)| controller).filter(|_| is_file && name != "..");
        let controller = controller.ok_or_else(|| fail("is not a file of a controller"))?;
        list.add(controller, name, Some(value.clone()));
    }
    Ok(list.0)
}

/// Whether limits are asked for.
#[must_use]
pub fn has_limits(resources: &LinuxResources) -> bool {
    settings(resources, Version::V2).map_or(true, |settings| !settings.is_empty())
}

/// How many host tasks a limit of the guest's tasks leaves room for; -1 is no limit. The guest's own limit is exact, and the
/// sandbox's kernel enforces it.
fn room_for(limit: i64) -> i64 {
    if limit < 0 { -1 } else { limit.saturating_mul(TASKS_EACH).saturating_add(OWN_TASKS) }
}

fn max_or(limit: i64) -> String {
    if limit < 0 { "max".into() } else { limit.to_string() }
}

struct List(Vec<Setting>);

impl List {
    fn add(&mut self, controller: &str, file: &str, value: Option<String>) {
        let Some(value) = value else { return };
        self.0.push(Setting { controller: controller.into(), file: file.into(), value });
    }

    fn memory_v1(&mut self, memory: &LinuxMemory) {
        let limit = set(memory.limit()).map(|limit| limit.to_string());
        // Memory alone cannot be without a limit if memory and swap have one.
        let swap = set(memory.swap()).or_else(|| memory.limit().filter(|limit| *limit < 0));
        let swap = swap.map(|swap| swap.to_string());
        self.add("memory", "memory.limit_in_bytes", limit);
        self.add("memory", MEMSW, swap);
        let reservation = set(memory.reservation()).map(|bytes| bytes.to_string());
        self.add("memory", "memory.soft_limit_in_bytes", reservation);
        self.add("memory", "memory.swappiness", memory.swappiness().map(|value| value.to_string()));
        let is_oom_off = memory.disable_oom_killer().unwrap_or(false);
        self.add("memory", "memory.oom_control", is_oom_off.then(|| "1".into()));
    }

    fn memory_v2(&mut self, memory: &LinuxMemory) {
        self.add("memory", "memory.low", set(memory.reservation()).map(max_or));
        // The configuration counts memory and swap together, version 2 swap alone.
        let swap = set(memory.swap()).and_then(|swap| match memory.limit() {
            _ if swap < 0 => Some(-1),
            Some(limit) if limit > 0 => Some(swap.saturating_sub(limit).max(0)),
            _ => None,
        });
        self.add("memory", "memory.swap.max", swap.map(max_or));
        self.add("memory", "memory.max", set(memory.limit()).map(max_or));
    }

    fn cpuset(&mut self, cpu: &LinuxCpu) {
        let list = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        self.add("cpuset", "cpuset.cpus", list(cpu.cpus()));
        self.add("cpuset", "cpuset.mems", list(cpu.mems()));
    }

    fn cpu_v1(&mut self, cpu: &LinuxCpu) {
        self.add("cpu", "cpu.shares", set(cpu.shares()).map(|shares| shares.to_string()));
        self.add("cpu", "cpu.cfs_period_us", set(cpu.period()).map(|period| period.to_string()));
        self.add("cpu", "cpu.cfs_quota_us", set(cpu.quota()).map(|quota| quota.to_string()));
        self.add("cpu", "cpu.cfs_burst_us", cpu.burst().map(|burst| burst.to_string()));
        self.add("cpu", "cpu.rt_period_us", set(cpu.realtime_period()).map(|period| period.to_string()));
        self.add("cpu", "cpu.rt_runtime_us", set(cpu.realtime_runtime()).map(|time| time.to_string()));
        self.add("cpu", "cpu.idle", cpu.idle().map(|idle| idle.to_string()));
        self.cpuset(cpu);
    }

    fn cpu_v2(&mut self, cpu: &LinuxCpu) {
        self.add("cpu", "cpu.weight", set(cpu.shares()).map(|shares| weight(shares).to_string()));
        let (quota, period) = (set(cpu.quota()), set(cpu.period()));
        if quota.is_some() || period.is_some() {
            let quota = quota.map_or_else(|| "max".into(), max_or);
            let period = period.map_or_else(String::new, |period| format!(" {period}"));
            self.add("cpu", "cpu.max", Some(quota + &period));
        }
        self.add("cpu", "cpu.max.burst", cpu.burst().map(|burst| burst.to_string()));
        self.add("cpu", "cpu.idle", cpu.idle().map(|idle| idle.to_string()));
        self.cpuset(cpu);
    }
}

/// Engines write 0 for what they do not set.
fn set<T: Default + PartialEq>(value: Option<T>) -> Option<T> {
    value.filter(|value| *value != T::default())
}

/// Shares from 2 to 262144 as a weight from 1 to 10000, as `runc` and `crun` convert them.
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142
}

/// Puts what `patch` names in the place of what `old` has.
///
/// # Errors
///
/// The patch is no form of `linux.resources`.
pub fn merge(old: Option<&LinuxResources>, patch: &Value) -> serde_json::Result<LinuxResources> {
    let mut merged = old.map_or_else(|| Ok(Value::Object([].into_iter().collect())), serde_json::to_value)?;
    merge_value(&mut merged, patch);
    serde_json::from_value(merged)
}

fn merge_value(old: &mut Value, patch: &Value) {
    match (old, patch) {
        (Value::Object(old), Value::Object(patch)) => {
            for (name, value) in patch {
                merge_value(old.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        // What a caller leaves empty is not to be changed.
        (_, Value::Null) => {}
        (old, patch) => *old = patch.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(resources: &Value, version: Version) -> Vec<String> {
        let resources: LinuxResources = serde_json::from_value(resources.clone()).unwrap();
        let settings = settings(&resources, version).unwrap();
        settings.iter().map(|one| format!("{} {}={}", one.controller, one.file, one.value)).collect()
    }

    fn limits() -> Value {
        json!({
            "memory": { "limit": 1000, "swap": 1500, "reservation": 500 },
            "cpu": { "shares": 1024, "quota": 20000, "period": 100_000, "cpus": "0-1", "mems": "" },
            "pids": { "limit": 10 },
        })
    }

    #[test]
    fn version_1_has_its_files() {
        assert_eq!(
            written(&limits(), Version::V1),
            [
                "memory memory.limit_in_bytes=1000",
                "memory memory.memsw.limit_in_bytes=1500",
                "memory memory.soft_limit_in_bytes=500",
                "cpu cpu.shares=1024",
                "cpu cpu.cfs_period_us=100000",
                "cpu cpu.cfs_quota_us=20000",
                "cpuset cpuset.cpus=0-1",
                "pids pids.max=84",
            ]
        );
    }

    #[test]
    fn version_2_has_others() {
        assert_eq!(
            written(&limits(), Version::V2),
            [
                "memory memory.low=500",
                "memory memory.swap.max=500",
                "memory memory.max=1000",
                "cpu cpu.weight=39",
                "cpu cpu.max=20000 100000",
                "cpuset cpuset.cpus=0-1",
                "pids pids.max=84",
            ]
        );
        let open =
            json!({ "memory": { "limit": -1, "swap": -1 }, "cpu": { "quota": -1 }, "pids": { "limit": -1 } });
        assert_eq!(
            written(&open, Version::V2),
            ["memory memory.swap.max=max", "memory memory.max=max", "cpu cpu.max=max", "pids pids.max=max"]
        );
    }

    #[test]
    fn zeros_of_engines_are_no_limits() {
        let zeros = json!({
            "memory": { "limit": 0, "swap": 0, "disableOOMKiller": false },
            "cpu": { "shares": 0, "quota": 0, "period": 0, "cpus": "" },
            "pids": { "limit": 0 },
        });
        assert_eq!(written(&zeros, Version::V1), [""; 0]);
        assert_eq!(written(&zeros, Version::V2), [""; 0]);
    }

    #[test]
    fn unified_names_are_files_of_controllers() {
        let with = |name: &str, version| {
            let resources = serde_json::from_value(json!({ "unified": { name: "1" } })).unwrap();
            settings(&resources, version)
        };
        assert_eq!(with("memory.high", Version::V2).unwrap()[0].controller, "memory");
        for bad in ["../x", "memory", "cgroup.kill", "a.b/c", ".."] {
            assert!(with(bad, Version::V2).is_err(), "{bad}");
        }
        with("memory.high", Version::V1).unwrap_err();
    }

    #[test]
    fn patches_change_what_they_name() {
        let old: LinuxResources = serde_json::from_value(limits()).unwrap();
        let patch = json!({ "cpu": { "quota": 5000, "cpus": null }, "pids": { "limit": -1 } });
        let merged = merge(Some(&old), &patch).unwrap();
        let cpu = merged.cpu().clone().unwrap();
        assert_eq!(
            (cpu.quota(), cpu.period(), cpu.cpus().as_deref()),
            (Some(5000), Some(100_000), Some("0-1"))
        );
        assert_eq!(merged.memory().as_ref().unwrap().limit(), Some(1000));
        assert_eq!(merged.pids().unwrap().limit(), -1);
        merge(None, &json!({ "memory": { "limit": "much" } })).unwrap_err();
    }
}
