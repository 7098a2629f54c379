//! `cloister attend`: the process that stands for a container which joined a sandbox; `create` starts it.

use std::ffi::OsString;
use std::fs::File;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use cloister_runtime::container::{DeputyCommand, attend};
use cloister_runtime::state::ContainerId;
use rustix::stdio::{dup2_stdout, stdout};

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
        // Standard output is the pipe on which the starter waits.
        let ready = rustix::io::fcntl_dupfd_cloexec(stdout(), 3).context("cannot take the pipe over")?;
        dup2_stdout(&File::options().write(true).open("/dev/null").context("cannot open /dev/null")?)?;
        Ok(attend(&entry, ready.into())?.into())
    }
}

/// How `create` starts the process that stands for the container `id`.
pub(super) fn command(context: &Context, id: &ContainerId) -> anyhow::Result<DeputyCommand> {
    let program = std::env::current_exe().context("cannot find the own program")?;
    let root = context.store()?.root().as_os_str().to_owned();
    let arguments = [OsString::from("--root"), root, "attend".into(), id.as_str().into()];
    Ok(DeputyCommand { program, arguments: arguments.into() })
}
