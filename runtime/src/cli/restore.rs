//! `cloister restore`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use cloister_proto::control::{RestoreMemory, Resume};
use cloister_runtime::foreground::Foreground;
use cloister_runtime::hooks;
use cloister_runtime::sandbox::Saved;
use cloister_runtime::snapshot::Snapshot;
use cloister_runtime::state::{ContainerId, OciState, Status};

use super::Context;
use super::checkpoint::CriuArgs;
use super::create::BundleArgs;

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
    /// How memory is brought back: all of it is copied
    #[arg(long, value_enum, default_value_t = Lazy::Eager, value_name = "HOW")]
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
    /// All of it is copied before the container goes on
    Eager,
}

impl Restore {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let snapshot = Snapshot::open(&self.image_path)?;
        let memory = match self.lazy {
            Lazy::Eager => RestoreMemory::Eager,
        };
        let saved = Saved { files: &snapshot.files, memory };
        let foreground = if self.detach { None } else { Some(Foreground::begin()?) };
        let mut created = self.options.restore(context, &self.id, foreground.is_some(), saved)?;
        let hooks = created.hooks().cloned();
        let ticket = match foreground {
            Some(_) => Some(created.sandbox.watch(&self.id)?),
            None => None,
        };
        let resumed = created.sandbox.client.call(Resume { id: self.id.to_string() }, &[]);
        if let Err(source) = resumed {
            let error = created.sandbox.explain("resume the container", source);
            created.destroy(&self.id);
            return Err(error.into());
        }
        let (Some(foreground), Some(ticket)) = (foreground, ticket) else {
            created.release()?;
            return Ok(ExitCode::SUCCESS);
        };
        let status = created.sandbox.wait(&foreground, &self.id, ticket)?;
        let stopped = OciState::new(&self.id, &created.record, Status::Stopped);
        created.end(Duration::from_secs(2), false);
        hooks::run_poststop(hooks.as_ref(), &stopped);
        Ok(status.code().into())
    }
}
