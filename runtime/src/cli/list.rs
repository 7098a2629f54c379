//! `cloister list`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use cloister_runtime::container::state;
use cloister_runtime::state::{ContainerId, OciState, StateError, Store};
use comfy_table::{Table, presets};
use tracing::warn;

use super::{Context, print};

/// List the containers
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cloister list\n  cloister list --format json\n  cloister list -q")]
pub(crate) struct List {
    /// Form of the list
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Print only the names
    #[arg(short, long)]
    quiet: bool,
}

/// Form of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Columns.
    Table,
    /// One JSON array.
    Json,
}

impl List {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let store = context.store()?;
        let ids = store.list()?;
        let text = if self.quiet {
            ids.iter().map(|id| format!("{id}\n")).collect()
        } else {
            let states: Vec<_> = ids.iter().filter_map(|id| look(&store, id)).collect();
            match self.format {
                Format::Table => table(&states),
                Format::Json => serde_json::to_string(&states)? + "\n",
            }
        };
        print(text)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The state of a container; none, with a warning, if it cannot be told.
fn look(store: &Store, id: &ContainerId) -> Option<OciState> {
    match store.peek(id).map_err(Into::into).and_then(|entry| state(&entry)) {
        Ok(state) => Some(state),
        // Deleted meanwhile, or not made to the end.
        Err(cloister_runtime::container::ContainerError::State(
            StateError::NotFound(_) | StateError::Incomplete(_),
        )) => None,
        Err(error) => {
            warn!("{error}");
            None
        }
    }
}

fn table(states: &[OciState]) -> String {
    let rows = states.iter().map(|state| {
        [
            state.id.clone(),
            state.pid.to_string(),
            state.status.to_string(),
            state.bundle.display().to_string(),
            state.created.clone(),
            state.owner.clone(),
        ]
    });
    columns(["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"], rows)
}

/// A plain table with a header line.
fn columns<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    table_of(header.map(str::to_owned), rows)
}

/// A plain table with a header line, whose number of columns is not fixed.
pub(super) fn table_of<R: IntoIterator<Item = String>>(
    header: impl IntoIterator<Item = String>,
    rows: impl IntoIterator<Item = R>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_plain_columns() {
        let text = columns(["ID", "PID"], [["long-name".into(), "1".into()]]);
        assert_eq!(text, "ID          PID\nlong-name   1\n");
    }
}
