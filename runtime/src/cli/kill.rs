//! `cloister kill`.

use std::process::ExitCode;

use clap::Args;
use cloister_runtime::container::{kill, parse_signal};
use cloister_runtime::state::ContainerId;

use super::Context;

/// Send a signal to a container's first process
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cloister kill web\n  cloister kill --all web KILL\n  cloister kill web 1"
)]
pub(crate) struct Kill {
    /// Send it to all processes of the container
    #[arg(short, long)]
    all: bool,
    /// Name of the container
    id: ContainerId,
    /// Name or number of the signal
    #[arg(default_value = "SIGTERM", allow_hyphen_values = true)]
    signal: String,
}

impl Kill {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let signal = parse_signal(&self.signal)?;
        kill(&context.store()?.open(&self.id)?, signal, self.all)?;
        Ok(ExitCode::SUCCESS)
    }
}
