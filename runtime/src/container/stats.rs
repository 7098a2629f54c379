//! What a container uses.

use cloister_proto::control::{Processes, Statistics};

use super::{ContainerError, Usage, connect, file_server_of, programs_of};
use crate::cgroup::Stats;
use crate::state::{Entry, Record};

/// What a container that runs uses: as its control group counts it, or, if it has none for itself, as its kernel and the host
/// do. Tasks are its own.
///
/// # Errors
///
/// It has ended, or its kernel does not answer.
pub fn stats(entry: &Entry, record: &Record) -> Result<Stats, ContainerError> {
    let fail = |source| ContainerError::Client { action: "look into", id: entry.id().clone(), source };
    let mut client = connect(entry, "look into")?;
    let processes = client.call(Processes { id: entry.id().to_string() }, &[]).map_err(fail)?.processes;
    let config = entry.config()?;
    let resources = config.linux().as_ref().and_then(|linux| linux.resources().as_ref());
    // The programs of a container that joined a sandbox are in the group of the root container.
    let mut stats = match entry.group()?.filter(|_| record.sandbox.is_none()) {
        Some(group) => group.stats(),
        None => {
            let own = client.call(Statistics { id: entry.id().to_string() }, &[]).map_err(fail)?;
            let mut stats = Stats::default();
            (stats.cpu.usage.user, stats.cpu.usage.kernel) = (own.user_time, own.system_time);
            stats.cpu.usage.total = own.user_time + own.system_time;
            stats.memory.usage.usage = match record.sandbox {
                Some(_) => programs_of(record, &own.memory_holders) + file_server_of(record),
                None => Usage::of(record).total,
            };
            let memory = resources.and_then(|resources| resources.memory().as_ref());
            let limit = memory.and_then(|memory| u64::try_from(memory.limit()?).ok());
            stats.memory.usage.limit = limit.unwrap_or(u64::MAX);
            stats
        }
    };
    stats.pids.current = processes.iter().map(|process| u64::from(process.threads)).sum();
    let limit = resources.and_then(|resources| *resources.pids()).map(|pids| pids.limit());
    stats.pids.limit = limit.and_then(|limit| u64::try_from(limit).ok()).unwrap_or(0);
    Ok(stats)
}
