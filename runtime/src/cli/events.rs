//! `cloister events`: what a container uses, and when it lacks memory, in `runc`'s form.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use cloister_runtime::container::{self, ContainerError, status};
use cloister_runtime::state::{ContainerId, Entry, Record, StateError, Status};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use serde_json::{Value, json};

use super::{Context, print};

/// Print what a container uses, and when it lacks memory, a JSON object a line
///
/// It ends with the container. Memory and processor time are of all of the sandbox's processes, as its control group counts
/// them; of a container that joined a sandbox they are its own programs', as the sandbox's kernel and the host count them.
/// Tasks are the container's own.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cloister events --stats web | jq .data.memory.usage\n  \
    cloister events --interval 1s web")]
pub(crate) struct Events {
    /// Time between two lines
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_interval)]
    interval: Duration,
    /// Print one line, and do not wait
    #[arg(long)]
    stats: bool,
    /// Name of the container
    id: ContainerId,
}

/// How often it is looked whether the container lacks memory.
const LOOK: Duration = Duration::from_secs(1);

impl Events {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let entry = context.store()?.peek(&self.id)?;
        let record = entry.record()?;
        let status = status(&entry, &record)?;
        // It ends with the container.
        let boot = record.process().open();
        let (Some(boot), true) = (boot, status != Status::Stopped) else {
            let action = "tell the events of";
            return Err(StateError::WrongStatus { id: self.id, action, status: Status::Stopped }.into());
        };
        let group = entry.group()?;
        if self.stats {
            print(self.line("stats", stats(&entry, &record)?))?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut oom_kills = group.as_ref().map_or(0, |group| group.stats().oom_kills);
        let mut next = Instant::now() + self.interval;
        loop {
            let pause = next.saturating_duration_since(Instant::now()).min(LOOK);
            let pause = Timespec::try_from(pause)?;
            if retry_on_intr(|| poll(&mut [PollFd::new(&boot, PollFlags::IN)], Some(&pause)))? > 0 {
                return Ok(ExitCode::SUCCESS);
            }
            let kills = group.as_ref().map_or(0, |group| group.stats().oom_kills);
            if kills > std::mem::replace(&mut oom_kills, kills) {
                print(self.line("oom", Value::Null))?;
            }
            if Instant::now() < next {
                continue;
            }
            next += self.interval;
            match stats(&entry, &record) {
                Ok(stats) => print(self.line("stats", stats))?,
                // It ends just now, which is seen in a moment.
                Err(ContainerError::Client { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn line(&self, kind: &str, data: Value) -> String {
        let mut line = json!({ "type": kind, "id": self.id.as_str() });
        if !data.is_null() {
            line["data"] = data;
        }
        format!("{line}\n")
    }
}

/// What a container uses, with every field that callers of `runc` know.
fn stats(entry: &Entry, record: &Record) -> Result<Value, ContainerError> {
    let stats = container::stats(entry, record)?;
    let mut data =
        json!({ "cpuset": {}, "blkio": {}, "hugetlb": {}, "intel_rdt": {}, "network_interfaces": null });
    if let (Value::Object(all), Ok(Value::Object(stats))) = (&mut data, serde_json::to_value(stats)) {
        all.extend(stats);
    }
    Ok(data)
}

/// A time such as `5s`, `500ms` or `1m30s`.
fn parse_interval(text: &str) -> Result<Duration, String> {
    let error = || format!("{text:?} is not a time such as 5s or 500ms");
    let duration = text.parse::<jiff::SignedDuration>().map_err(|_| error())?;
    let duration = Duration::try_from(duration).map_err(|_| error())?;
    if duration < Duration::from_millis(10) { Err("it must be at least 10ms".into()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_go_s() {
        for (text, millis) in [("5s", 5000), ("500ms", 500), ("1m30s", 90_000)] {
            assert_eq!(parse_interval(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "5", "-1s", "0s", "x"] {
            assert!(parse_interval(bad).is_err(), "{bad}");
        }
    }
}
