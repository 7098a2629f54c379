//! `cloister update`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use cloister_runtime::container::update;
use cloister_runtime::state::ContainerId;
use serde_json::{Value, json};
use tracing::warn;

use super::Context;

/// Change the limits of a container that runs
///
/// What is not named stays as it is. The limits hold for all of the sandbox's processes; how many processors and how much
/// memory the container sees stays as it was at its creation.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cloister update --memory 512m --pids-limit 100 web\n  \
    cloister update --cpu-quota 50000 --cpu-period 100000 web\n  \
    echo '{\"memory\": {\"limit\": 536870912}}' | cloister update --resources - web")]
pub(crate) struct Update {
    /// File in the form of linux.resources, - is standard input; other flags are not looked at
    #[arg(short, long, value_name = "FILE")]
    resources: Option<PathBuf>,
    /// Time that it may use in each period, in microseconds; -1 is without a limit
    #[arg(long, value_name = "US", allow_hyphen_values = true)]
    cpu_quota: Option<i64>,
    /// Length of a period, in microseconds
    #[arg(long, value_name = "US")]
    cpu_period: Option<u64>,
    /// Time that it may save up, in microseconds
    #[arg(long, value_name = "US")]
    cpu_burst: Option<u64>,
    /// Weight against others, 1024 being usual
    #[arg(long, visible_alias = "cpu-shares", value_name = "N")]
    cpu_share: Option<u64>,
    /// Real-time time in each period, in microseconds
    #[arg(long, value_name = "US", allow_hyphen_values = true)]
    cpu_rt_runtime: Option<i64>,
    /// Length of a real-time period, in microseconds
    #[arg(long, value_name = "US")]
    cpu_rt_period: Option<u64>,
    /// Run it only when nothing else wants to run: 1, or 0
    #[arg(long, value_name = "0|1")]
    cpu_idle: Option<i64>,
    /// Processors to use, such as 0-2,7
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Memory, with a suffix of k, m or g; -1 is without a limit
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, allow_hyphen_values = true)]
    memory: Option<i64>,
    /// Memory that it is left when memory is scarce
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, allow_hyphen_values = true)]
    memory_reservation: Option<i64>,
    /// Memory and swap together; -1 is without a limit
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, allow_hyphen_values = true)]
    memory_swap: Option<i64>,
    /// Tasks at a time; -1 is without a limit
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pids_limit: Option<i64>,
    /// Accepted for callers of other runtimes, without effect
    #[arg(long, hide = true)]
    blkio_weight: Option<u16>,
    /// Accepted for callers of other runtimes, without effect
    #[arg(long, hide = true)]
    kernel_memory: Option<String>,
    /// Name of the container
    id: ContainerId,
}

impl Update {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let patch = match &self.resources {
            Some(path) => read(path)?,
            None => self.patch(),
        };
        if patch.get("blockIO").is_some_and(|limits| !limits.is_null()) || self.blkio_weight.is_some() {
            warn!("limits of block devices have no effect");
        }
        update(&context.store()?.open(&self.id)?, &patch)?;
        Ok(ExitCode::SUCCESS)
    }

    /// The flags in the form of `linux.resources`.
    fn patch(&self) -> Value {
        let mut patch = json!({
            "cpu": {
                "quota": self.cpu_quota,
                "period": self.cpu_period,
                "burst": self.cpu_burst,
                "shares": self.cpu_share,
                "realtimeRuntime": self.cpu_rt_runtime,
                "realtimePeriod": self.cpu_rt_period,
                "idle": self.cpu_idle,
                "cpus": self.cpuset_cpus,
                "mems": self.cpuset_mems,
            },
            "memory": {
                "limit": self.memory,
                "reservation": self.memory_reservation,
                "swap": self.memory_swap,
            },
        });
        if let Some(limit) = self.pids_limit {
            patch["pids"] = json!({ "limit": limit });
        }
        patch
    }
}

fn read(path: &Path) -> anyhow::Result<Value> {
    let mut text = Vec::new();
    let what = || format!("cannot read the limits in {}", path.display());
    if path.as_os_str() == "-" {
        std::io::stdin().read_to_end(&mut text).with_context(what)?;
    } else {
        text = std::fs::read(path).with_context(what)?;
    }
    serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", path.display()))
}

/// Parses bytes with a suffix of powers of 1024: `512m`, `1g`, `64KiB`; negative is without a limit.
fn parse_bytes(text: &str) -> Result<i64, String> {
    let error = || format!("{text:?} is not a number of bytes; use a number with k, m, g or t, or -1");
    let lower = text.to_ascii_lowercase();
    if let Some(negative) = lower.strip_prefix('-') {
        return negative.parse::<i64>().map(|_| -1).map_err(|_| error());
    }
    let number = lower.trim_end_matches('b').trim_end_matches('i');
    let shift = match number.chars().last() {
        Some('k') => 10,
        Some('m') => 20,
        Some('g') => 30,
        Some('t') => 40,
        _ => 0,
    };
    let digits = number.trim_end_matches(['k', 'm', 'g', 't']);
    let is_one_suffix = number.len() - digits.len() <= 1;
    let bytes = digits
        .parse::<i64>()
        .ok()
        .filter(|_| is_one_suffix && digits.starts_with(|c: char| c.is_ascii_digit()));
    bytes.and_then(|bytes| bytes.checked_mul(1 << shift)).ok_or_else(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_suffixes() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("4k", 4096),
            ("512M", 512 << 20),
            ("1GiB", 1 << 30),
            ("2tb", 2 << 40),
            ("-1", -1),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for bad in ["", "m", "1kk", "+1", "1.5g", "x", "-", "99999999999t"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }
}
