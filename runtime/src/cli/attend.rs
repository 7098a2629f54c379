//! `cloister attend`: the process that stands for a container which joined a sandbox; `create` starts it.

use std::ffi::OsString;
use std::fs::File;
use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use cloister_runtime::container::{DeputyCommand, attend};
use cloister_runtime::state::ContainerId;
use rustix::stdio::{dup2_stdin, dup2_stdout, stdin, stdout};

use super::Context;

/// Stand for a container on the host, and end as it does
///
/// It is killed with this process. `create` starts this for a container that joins another one's sandbox.
#[derive(Debug, Args)]
#[command(hide = true, after_help = "Examples:\n  cloister attend web")]
pub(crate) struct Attend {
    /// Name of the container
    id: ContainerId,
}

impl Attend {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let entry = context.store()?.peek(&self.id)?;
        // Standard input is the connection to who creates the container, standard output its terminal.
        let take = |from| rustix::io::fcntl_dupfd_cloexec(from, 3).context("cannot take a descriptor over");
        let creator = take(stdin())?;
        let terminal = if std::io::stdout().is_terminal() { Some(take(stdout())?) } else { None };
        let null =
            File::options().read(true).write(true).open("/dev/null").context("cannot open /dev/null")?;
        dup2_stdin(&null)?;
        dup2_stdout(&null)?;
        drop(null);
        Ok(attend(&entry, creator.into(), terminal)?.into())
    }
}

/// How `create` starts the process that stands for the container `id`.
pub(super) fn command(context: &Context, id: &ContainerId) -> anyhow::Result<DeputyCommand> {
    let program = std::env::current_exe().context("cannot find the own program")?;
    let root = context.store()?.root().as_os_str().to_owned();
    let arguments = [OsString::from("--root"), root, "attend".into(), id.as_str().into()];
    Ok(DeputyCommand { program, arguments: arguments.into() })
}
