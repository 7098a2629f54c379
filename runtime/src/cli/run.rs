//! `cloister run`: create, start, wait, delete.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use cloister_runtime::container::start_with;
use cloister_runtime::foreground::Foreground;
use cloister_runtime::hooks;
use cloister_runtime::state::{ContainerId, OciState, Status};

use super::Context;
use super::create::BundleArgs;

/// Create a container, start it, wait for its end and delete it
///
/// Signals are passed on to the container. The exit code is its process', 128+N if signal N ended it, and 1 if the
/// container cannot be run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cloister run --bundle /srv/web web\n  \
    cloister run --detach web")]
pub(crate) struct Run {
    #[command(flatten)]
    pub(super) options: BundleArgs,
    /// Do not wait; `delete` removes the container later
    #[arg(short, long)]
    detach: bool,
    /// Do not delete the container at its end
    #[arg(long)]
    keep: bool,
    /// Name of the container
    id: ContainerId,
}

impl Run {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let foreground = if self.detach { None } else { Some(Foreground::begin()?) };
        let mut created = self.options.create(context, &self.id, foreground.is_some())?;
        let hooks = created.hooks().cloned();
        let ticket = match foreground {
            Some(_) => Some(created.sandbox.watch(&self.id)?),
            None => None,
        };
        let started = start_with(&mut created.sandbox.client, &self.id, &created.record, hooks.as_ref());
        if let Err(error) = started {
            created.destroy(&self.id);
            return Err(error.into());
        }
        let (Some(foreground), Some(ticket)) = (foreground, ticket) else {
            created.release()?;
            return Ok(ExitCode::SUCCESS);
        };
        let status = created.sandbox.wait(&foreground, &self.id, ticket)?;
        let stopped = OciState::new(&self.id, &created.record, Status::Stopped);
        created.end(Duration::from_secs(2), self.keep);
        if !self.keep {
            hooks::run_poststop(hooks.as_ref(), &stopped);
        }
        Ok(status.code().into())
    }
}
