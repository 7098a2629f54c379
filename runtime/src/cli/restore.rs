//! `cloister restore`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use cloister_proto::control::{RestoreAs, RestoreMemory};
use cloister_runtime::foreground::Foreground;
use cloister_runtime::sandbox::Saved;
use cloister_runtime::snapshot::{Snapshot, Verify};
use cloister_runtime::state::ContainerId;

use super::Context;
use super::checkpoint::CriuArgs;
use super::create::BundleArgs;
use super::run::{go_on, see_through};

/// Bring a container back that `checkpoint` saved
///
/// Its processes go on where they were. Mounts must be the same as before; standard input, output and error are those of this
/// command. The exit code is its first process', 128+N if signal N ended it, and 1 if the container cannot be brought back.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cloister restore --image-path /srv/saved/web --bundle /srv/web web\n  \
    cloister restore --image-path /srv/saved/web --bundle /srv/web --detach web2")]
pub(crate) struct Restore {
    /// Folder of the snapshot
    #[arg(long, value_name = "DIR", default_value = "checkpoint")]
    image_path: PathBuf,
    /// How memory is brought back
    #[arg(long, value_enum, default_value_t = Lazy::Map, value_name = "HOW")]
    lazy: Lazy,
    #[command(flatten)]
    options: BundleArgs,
    #[command(flatten)]
    _criu: CriuArgs,
    /// Do not wait; `delete` removes the container later
    #[arg(short, long)]
    detach: bool,
    /// Name of the container, which may be another than before
    id: ContainerId,
}

/// How memory is brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Lazy {
    /// Pages are mapped from the snapshot, and read when they are used: it must stay as it is, though it may be removed
    Map,
    /// All of it is checked and copied before the container goes on
    Eager,
}

impl Restore {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let (memory, verify) = match self.lazy {
            Lazy::Map => (RestoreMemory::Map, Verify::Size),
            Lazy::Eager => (RestoreMemory::Eager, Verify::Pages),
        };
        let snapshot = Snapshot::open(&self.image_path, verify)?;
        let saved = Saved { snapshot: &snapshot, memory, identity: RestoreAs::Itself };
        let foreground = if self.detach { None } else { Some(Foreground::begin()?) };
        let created = self.options.restore(context, &self.id, foreground.is_some(), saved)?;
        see_through(created, &self.id, foreground, false, |created, _| go_on(created, &self.id))
    }
}
