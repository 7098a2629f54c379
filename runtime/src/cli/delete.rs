//! `cloister delete`.

use std::process::ExitCode;

use clap::Args;
use cloister_runtime::container::delete;
use cloister_runtime::state::{ContainerId, StateError};

use super::Context;

/// Delete a stopped container
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cloister delete web\n  cloister delete --force web")]
pub(crate) struct Delete {
    /// Kill the container first if it runs, and do not fail if it does not exist
    #[arg(short, long)]
    force: bool,
    /// Name of the container
    id: ContainerId,
}

impl Delete {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match context.store()?.open(&self.id) {
            Ok(entry) => delete(entry, self.force)?,
            Err(StateError::NotFound(_)) if self.force => {}
            Err(error) => return Err(error.into()),
        }
        Ok(ExitCode::SUCCESS)
    }
}
