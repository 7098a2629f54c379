//! `cloister checkpoint`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use cloister_runtime::container::{AfterCheckpoint, checkpoint};
use cloister_runtime::state::ContainerId;

use super::Context;

/// Save a container's processes and memory to a folder
///
/// The container ends and is deleted, unless it is left running. It goes on as before if it cannot be saved.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cloister checkpoint --image-path /srv/saved/web web\n  \
    cloister restore --image-path /srv/saved/web --bundle /srv/web --detach web")]
pub(crate) struct Checkpoint {
    /// Folder that becomes the snapshot; an earlier snapshot there is replaced
    #[arg(long, value_name = "DIR", default_value = "checkpoint")]
    image_path: PathBuf,
    /// Let the container go on
    #[arg(long)]
    leave_running: bool,
    #[command(flatten)]
    _criu: CriuArgs,
    /// Name of the container
    id: ContainerId,
}

/// Flags of other runtimes about how they do it; what they ask for is always so, or of no meaning here.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags, and nothing depends on them")]
pub(super) struct CriuArgs {
    /// Folder for logs of another program
    #[arg(long, hide = true, value_name = "DIR")]
    work_path: Option<PathBuf>,
    /// Connections inside of the sandbox are always saved
    #[arg(long, hide = true)]
    tcp_established: bool,
    /// Unix sockets inside of the sandbox are always saved
    #[arg(long, hide = true)]
    ext_unix_sk: bool,
    /// Terminals are always saved
    #[arg(long, hide = true)]
    shell_job: bool,
    /// Locks are always saved
    #[arg(long, hide = true)]
    file_locks: bool,
    /// Control groups are made by `restore` as by `create`
    #[arg(long, hide = true, value_name = "MODE")]
    manage_cgroups_mode: Option<String>,
}

impl Checkpoint {
    pub(crate) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let entry = context.store()?.open(&self.id)?;
        let after = if self.leave_running { AfterCheckpoint::LeaveRunning } else { AfterCheckpoint::Delete };
        checkpoint(entry, &self.image_path, after)?;
        Ok(ExitCode::SUCCESS)
    }
}
