//! `cloister usage`.

use std::process::ExitCode;

use clap::Args;
use cloister_runtime::container::Usage as Memory;
use cloister_runtime::state::ContainerId;

use super::{Context, print};

/// Print how much memory a container's sandbox uses as JSON, in bytes
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cloister usage web\n  cloister usage web | jq .total")]
pub(crate) struct Usage {
    /// Name of the container
    id: ContainerId,
}

impl Usage {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let record = context.store()?.peek(&self.id)?.record()?;
        print(serde_json::to_string_pretty(&Memory::of(&record))? + "\n")?;
        Ok(ExitCode::SUCCESS)
    }
}
