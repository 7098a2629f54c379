//! `cloister ps`.

use std::process::ExitCode;

use clap::Args;
use cloister_proto::control::{Process, Processes};
use cloister_runtime::container::{ContainerError, connect};
use cloister_runtime::state::ContainerId;

use super::list::{Format, columns};
use super::{Context, print};

/// List the processes of a container
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cloister ps web\n  cloister ps --format json web")]
pub(crate) struct Ps {
    /// Form of the list; json lists process ids only, as runc does
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Name of the container
    id: ContainerId,
}

impl Ps {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let action = "list the processes of";
        let entry = context.store()?.peek(&self.id)?;
        let reply = connect(&entry, action)?
            .call(Processes { id: self.id.to_string() }, &[])
            .map_err(|source| ContainerError::Client { action, id: self.id.clone(), source })?;
        let text = match self.format {
            Format::Table => {
                columns(["UID", "PID", "PPID", "S", "TIME", "CMD"], reply.processes.iter().map(row))
            }
            Format::Json => {
                let pids: Vec<_> = reply.processes.iter().map(|process| process.pid).collect();
                serde_json::to_string(&pids)? + "\n"
            }
        };
        print(text)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn row(process: &Process) -> [String; 6] {
    let seconds = process.cpu_time / 1_000_000_000;
    let time = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let command = process.command.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    // The names are the guest's choice, and must not move the reader's cursor.
    let command =
        command.chars().map(|character| if character.is_control() { '?' } else { character }).collect();
    let state = char::from(process.state).to_string();
    [process.uid.to_string(), process.pid.to_string(), process.ppid.to_string(), state, time, command]
}
