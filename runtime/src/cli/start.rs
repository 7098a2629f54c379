//! `cloister start`.

use std::process::ExitCode;

use clap::Args;
use cloister_runtime::container::start;
use cloister_runtime::state::ContainerId;

use super::Context;

/// Start the process of a created container
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cloister start web")]
pub(crate) struct Start {
    /// Name of the container
    id: ContainerId,
}

impl Start {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        start(context.store()?.open(&self.id)?)?;
        Ok(ExitCode::SUCCESS)
    }
}
