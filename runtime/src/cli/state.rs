//! `cloister state`.

use std::process::ExitCode;

use clap::Args;
use cloister_runtime::container::state;
use cloister_runtime::state::ContainerId;

use super::{Context, print};

/// Print the state of a container as JSON
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cloister state web\n  cloister state web | jq -r .status")]
pub(crate) struct State {
    /// Name of the container
    id: ContainerId,
}

impl State {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let state = state(&context.store()?.peek(&self.id)?)?;
        print(serde_json::to_string_pretty(&state)? + "\n")?;
        Ok(ExitCode::SUCCESS)
    }
}
