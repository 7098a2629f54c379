//! What a container uses, in the form of containerd's metrics of control groups.

use std::sync::Arc;

use cloister_runtime::cgroup::{MemoryEntry, Stats};
use cloister_runtime::container::stats;
use containerd_shim_protos::cgroups::metrics as v1;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageField, MessageFull};

use super::{Container, Phase, blocking};
use crate::error::ShimError;

impl Container {
    /// What the container uses, counted by its kernel, its control group and the host.
    pub(crate) async fn metrics(self: &Arc<Self>) -> Result<Any, ShimError> {
        if matches!(self.init.state().phase, Phase::Ended(_)) {
            return Err(ShimError::Finished(self.init.name.to_string()));
        }
        let container = self.clone();
        let stats = blocking(move || {
            let entry = container.entry()?;
            let record = entry.record()?;
            Ok(stats(&entry, &record)?)
        })
        .await?;
        let metrics = metrics(&stats);
        let value = metrics.write_to_bytes().map_err(|error| ShimError::Request(error.to_string()))?;
        Ok(Any { type_url: v1::Metrics::descriptor().full_name().into(), value, ..Default::default() })
    }
}

/// The form of version 1 of control groups, which has a place for all that we know on hosts of either version.
fn metrics(stats: &Stats) -> v1::Metrics {
    let cpu = v1::CPUStat {
        usage: MessageField::some(v1::CPUUsage {
            total: stats.cpu.usage.total,
            kernel: stats.cpu.usage.kernel,
            user: stats.cpu.usage.user,
            per_cpu: stats.cpu.usage.percpu.clone(),
            ..Default::default()
        }),
        throttling: MessageField::some(v1::Throttle {
            periods: stats.cpu.throttling.periods,
            throttled_periods: stats.cpu.throttling.throttled_periods,
            throttled_time: stats.cpu.throttling.throttled_time,
            ..Default::default()
        }),
        ..Default::default()
    };
    let pids = v1::PidsStat { current: stats.pids.current, limit: stats.pids.limit, ..Default::default() };
    let oom = v1::MemoryOomControl { oom_kill: stats.oom_kills, ..Default::default() };
    v1::Metrics {
        pids: MessageField::some(pids),
        cpu: MessageField::some(cpu),
        memory: MessageField::some(memory(stats)),
        memory_oom_control: MessageField::some(oom),
        ..Default::default()
    }
}

fn memory(stats: &Stats) -> v1::MemoryStat {
    let memory = &stats.memory;
    // The names of version 1, or else those of version 2.
    let raw = |names: &[&str]| names.iter().find_map(|name| memory.raw.get(*name)).copied().unwrap_or(0);
    let entry = |entry: MemoryEntry| {
        MessageField::some(v1::MemoryEntry {
            limit: entry.limit,
            usage: entry.usage,
            max: entry.max,
            failcnt: entry.failcnt,
            ..Default::default()
        })
    };
    let rss = raw(&["rss", "anon"]);
    let mut stat = v1::MemoryStat {
        cache: memory.cache,
        rss,
        total_cache: memory.cache,
        total_rss: raw(&["total_rss", "anon"]),
        mapped_file: raw(&["mapped_file", "file_mapped"]),
        dirty: raw(&["dirty", "file_dirty"]),
        writeback: raw(&["writeback", "file_writeback"]),
        pg_fault: raw(&["pgfault"]),
        pg_maj_fault: raw(&["pgmajfault"]),
        inactive_anon: raw(&["inactive_anon"]),
        active_anon: raw(&["active_anon"]),
        inactive_file: raw(&["inactive_file"]),
        active_file: raw(&["active_file"]),
        unevictable: raw(&["unevictable"]),
        usage: entry(memory.usage),
        swap: entry(memory.swap),
        kernel: entry(memory.kernel),
        kernel_tcp: entry(memory.kernel_tcp),
        ..Default::default()
    };
    // The working set, as Kubernetes counts it, is the usage less these.
    stat.total_inactive_file = raw(&["total_inactive_file", "inactive_file"]);
    stat.total_active_file = raw(&["total_active_file", "active_file"]);
    stat.total_inactive_anon = raw(&["total_inactive_anon", "inactive_anon"]);
    stat.total_active_anon = raw(&["total_active_anon", "active_anon"]);
    stat.total_pg_fault = raw(&["total_pgfault", "pgfault"]);
    stat.total_pg_maj_fault = raw(&["total_pgmajfault", "pgmajfault"]);
    if rss == 0 {
        // A container that has no group for itself: what its programs have is all that is known.
        stat.rss = memory.usage.usage;
        stat.total_rss = memory.usage.usage;
    }
    stat
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_known_is_told() {
        let mut stats = Stats::default();
        (stats.cpu.usage.total, stats.pids.current, stats.oom_kills) = (5, 2, 1);
        stats.memory.usage = MemoryEntry { limit: 100, usage: 50, ..MemoryEntry::default() };
        let found = metrics(&stats);
        assert_eq!((found.cpu.usage.total, found.pids.current), (5, 2));
        assert_eq!(
            (found.memory.usage.limit, found.memory.rss, found.memory_oom_control.oom_kill),
            (100, 50, 1)
        );
        stats.memory.raw = [("anon".to_owned(), 7), ("inactive_file".to_owned(), 8)].into();
        let found = metrics(&stats);
        assert_eq!((found.memory.rss, found.memory.total_inactive_file), (7, 8));
        assert_eq!(v1::Metrics::descriptor().full_name(), "io.containerd.cgroups.v1.Metrics");
    }
}
