//! `cloister completions`.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, print};

/// Print a script by which a shell completes this program's arguments
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  source <(cloister completions bash)")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "cloister", &mut script);
        print(script)?;
        Ok(ExitCode::SUCCESS)
    }
}
