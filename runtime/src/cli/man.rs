//! `cloister man`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, CommandFactory};

use super::{Cli, print};

/// Print the manual page, or write those of all subcommands
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cloister man | man -l -\n  cloister man --dir /usr/local/share/man/man1"
)]
pub(crate) struct Man {
    /// Folder to write the pages of all subcommands to
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.dir {
            Some(dir) => clap_mangen::generate_to(Cli::command(), &dir)
                .with_context(|| format!("cannot write manual pages to {}", dir.display()))?,
            None => {
                let mut page = Vec::new();
                clap_mangen::Man::new(Cli::command()).render(&mut page)?;
                print(page)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
