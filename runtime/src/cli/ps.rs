//! `cloister ps`.

use std::process::ExitCode;

use clap::Args;
use cloister_proto::control::{Processes, ProcessesReply};
use cloister_runtime::container::{ContainerError, connect};
use cloister_runtime::state::ContainerId;

use super::list::Format;
use super::ps_columns::{self, Column};
use super::{Context, print};

/// List the processes of a container
///
/// Process ids are those that the container sees. Of the options of ps(1), those that choose columns are understood (-o, -f,
/// -ef, aux); the processes are always all of the container's.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cloister ps web\n  \
    cloister ps --format json web\n  \
    cloister ps web -o pid,nlwp,args")]
pub(crate) struct Ps {
    /// Form of the list; json lists process ids only, as runc does
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Name of the container
    id: ContainerId,
    /// Options as of ps(1)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "PS OPTIONS")]
    options: Vec<String>,
}

impl Ps {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let columns = ps_columns::parse(&self.options)?;
        let action = "list the processes of";
        let entry = context.store()?.peek(&self.id)?;
        let reply = connect(&entry, action)?
            .call(Processes { id: self.id.to_string() }, &[])
            .map_err(|source| ContainerError::Client { action, id: self.id.clone(), source })?;
        print(match self.format {
            Format::Table => table(&columns, &reply),
            Format::Json => {
                let pids: Vec<_> = reply.processes.iter().map(|process| process.pid).collect();
                serde_json::to_string(&pids)? + "\n"
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn table(columns: &[&Column], reply: &ProcessesReply) -> String {
    let header = columns.iter().map(|column| column.header.to_owned());
    let rows = reply.processes.iter().map(|process| columns.iter().map(|column| (column.value)(process)));
    super::list::table_of(header, rows)
}
