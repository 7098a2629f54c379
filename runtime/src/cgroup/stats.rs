//! What a control group tells of its processes, in the form of `runc events`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::hierarchy::read;
use super::{Group, Version};

/// What a group's processes use. What the host's kernel does not tell is zero or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Processors.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Memory,
    /// How many tasks there are.
    pub pids: Pids,
    /// How many processes were killed for lack of memory.
    #[serde(skip)]
    pub oom_kills: u64,
}

/// Processors: times are in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cpu {
    /// Time that was used.
    pub usage: CpuUsage,
    /// Time that was not given.
    pub throttling: Throttling,
}

/// Time that was used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CpuUsage {
    /// In all.
    #[serde(skip_serializing_if = "is_zero")]
    pub total: u64,
    /// By each processor.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    /// In the host's kernel.
    pub kernel: u64,
    /// In programs, Cloister's own among them.
    pub user: u64,
}

/// Time that was not given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    /// Periods of the quota that have passed.
    #[serde(skip_serializing_if = "is_zero")]
    pub periods: u64,
    /// Periods in which the quota was used up.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_periods: u64,
    /// How long processes had to wait.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_time: u64,
}

/// Memory, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Cached pages of files.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache: u64,
    /// All memory.
    pub usage: MemoryEntry,
    /// Memory and swap.
    pub swap: MemoryEntry,
    /// Memory of the host's kernel.
    pub kernel: MemoryEntry,
    /// Memory of its TCP buffers.
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: MemoryEntry,
    /// `memory.stat` as it is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
}

/// A kind of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MemoryEntry {
    /// The most that can be used; `u64::MAX`, or about half of it in version 1, is no limit.
    pub limit: u64,
    /// What is used.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    /// The most that was used.
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    /// How often the limit was met.
    pub failcnt: u64,
}

/// How many tasks there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pids {
    /// Now.
    #[serde(skip_serializing_if = "is_zero")]
    pub current: u64,
    /// The most that there can be; 0 is no limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub limit: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Group {
    /// Tells what its processes use.
    #[must_use]
    pub fn stats(&self) -> Stats {
        match self.version() {
            Version::V1 => v1(self),
            Version::V2 => self.folder("").map(v2).unwrap_or_default(),
        }
    }
}

/// A file with one number; `max` is the largest.
fn number(folder: &Path, file: &str) -> u64 {
    match read(&folder.join(file)).as_deref() {
        Ok("max") => u64::MAX,
        Ok(text) => text.parse().unwrap_or(0),
        Err(_) => 0,
    }
}

/// A file with lines of a name and a number.
fn table(folder: &Path, file: &str) -> BTreeMap<String, u64> {
    let text = read(&folder.join(file)).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let (name, number) = line.split_once(' ')?;
            Some((name.to_owned(), number.parse().ok()?))
        })
        .collect()
}

fn pids(folder: &Path) -> Pids {
    let limit = number(folder, "pids.max");
    Pids { current: number(folder, "pids.current"), limit: if limit == u64::MAX { 0 } else { limit } }
}

fn v1(group: &Group) -> Stats {
    /// `USER_HZ`: ticks of `cpuacct.stat` in a second.
    const TICK_NS: u64 = 1_000_000_000 / 100;
    let mut stats = Stats::default();
    if let Some(folder) = group.folder("cpuacct") {
        let ticks = table(folder, "cpuacct.stat");
        let time = |name: &str| ticks.get(name).copied().unwrap_or(0).saturating_mul(TICK_NS);
        let percpu = read(&folder.join("cpuacct.usage_percpu")).unwrap_or_default();
        stats.cpu.usage = CpuUsage {
            total: number(folder, "cpuacct.usage"),
            percpu: percpu.split_whitespace().filter_map(|time| time.parse().ok()).collect(),
            kernel: time("system"),
            user: time("user"),
        };
    }
    if let Some(folder) = group.folder("cpu") {
        let table = table(folder, "cpu.stat");
        let get = |name: &str| table.get(name).copied().unwrap_or(0);
        stats.cpu.throttling = Throttling {
            periods: get("nr_periods"),
            throttled_periods: get("nr_throttled"),
            throttled_time: get("throttled_time"),
        };
    }
    if let Some(folder) = group.folder("memory") {
        let entry = |kind: &str| MemoryEntry {
            limit: number(folder, &format!("memory.{kind}limit_in_bytes")),
            usage: number(folder, &format!("memory.{kind}usage_in_bytes")),
            max: number(folder, &format!("memory.{kind}max_usage_in_bytes")),
            failcnt: number(folder, &format!("memory.{kind}failcnt")),
        };
        let raw = table(folder, "memory.stat");
        stats.memory = Memory {
            cache: raw.get("cache").copied().unwrap_or(0),
            usage: entry(""),
            swap: entry("memsw."),
            kernel: entry("kmem."),
            kernel_tcp: entry("kmem.tcp."),
            raw,
        };
        stats.oom_kills = table(folder, "memory.oom_control").get("oom_kill").copied().unwrap_or(0);
    }
    stats.pids = group.folder("pids").map(pids).unwrap_or_default();
    stats
}

fn v2(folder: &Path) -> Stats {
    let (cpu, raw, events) =
        (table(folder, "cpu.stat"), table(folder, "memory.stat"), table(folder, "memory.events"));
    let get = |table: &BTreeMap<String, u64>, name: &str| table.get(name).copied().unwrap_or(0);
    let time = |name: &str| get(&cpu, name).saturating_mul(1000);
    let usage = MemoryEntry {
        limit: number(folder, "memory.max"),
        usage: number(folder, "memory.current"),
        max: number(folder, "memory.peak"),
        failcnt: get(&events, "max"),
    };
    // `runc` reports swap as version 1 counts it: memory and swap together.
    let swap = MemoryEntry {
        limit: usage.limit.saturating_add(number(folder, "memory.swap.max")),
        usage: usage.usage.saturating_add(number(folder, "memory.swap.current")),
        ..MemoryEntry::default()
    };
    let kernel = MemoryEntry { usage: get(&raw, "kernel"), ..MemoryEntry::default() };
    Stats {
        cpu: Cpu {
            usage: CpuUsage {
                total: time("usage_usec"),
                percpu: Vec::new(),
                kernel: time("system_usec"),
                user: time("user_usec"),
            },
            throttling: Throttling {
                periods: get(&cpu, "nr_periods"),
                throttled_periods: get(&cpu, "nr_throttled"),
                throttled_time: time("throttled_usec"),
            },
        },
        memory: Memory {
            cache: get(&raw, "file"),
            usage,
            swap,
            kernel,
            kernel_tcp: MemoryEntry { usage: get(&raw, "sock"), ..MemoryEntry::default() },
            raw,
        },
        pids: pids(folder),
        oom_kills: get(&events, "oom_kill"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn version_2_is_told_as_version_1() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("cpu.stat", "usage_usec 7\nuser_usec 4\nsystem_usec 3\nnr_throttled 2\n"),
            ("memory.stat", "anon 5\nfile 6\n"),
            ("memory.events", "low 0\nmax 9\noom 1\noom_kill 3\n"),
            ("memory.max", "max\n"),
            ("memory.current", "100\n"),
            ("memory.swap.current", "20\n"),
            ("memory.swap.max", "0\n"),
            ("pids.current", "4\n"),
            ("pids.max", "max\n"),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let stats = v2(folder.path());
        assert_eq!((stats.cpu.usage.total, stats.cpu.throttling.throttled_periods), (7000, 2));
        assert_eq!((stats.memory.cache, stats.memory.usage.limit), (6, u64::MAX));
        assert_eq!((stats.memory.swap.usage, stats.memory.usage.failcnt, stats.oom_kills), (120, 9, 3));
        assert_eq!(stats.pids, Pids { current: 4, limit: 0 });
    }
}
