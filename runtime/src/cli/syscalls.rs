//! `cloister syscalls`: the kernel's table of system calls.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use clap::Args;

use super::Context;
use super::list::Format;

/// List the system calls that the sandbox's kernel has
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cloister syscalls\n  cloister syscalls --format json | jq length")]
pub(crate) struct Syscalls {
    /// Form of the list
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl Syscalls {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let boot = context.binaries().open_boot()?;
        let format = match self.format {
            Format::Table => "table",
            Format::Json => "json",
        };
        let error = Command::new(&boot.path).args(["--list-syscalls", "--format", format]).exec();
        Err(error).with_context(|| format!("cannot run {}", boot.path.display()))
    }
}
