//! `cloister run`: create, start, wait, delete.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use cloister_proto::control::{Done, Resume};
use cloister_runtime::container::{Created, start_with};
use cloister_runtime::foreground::Foreground;
use cloister_runtime::hooks;
use cloister_runtime::state::{ContainerId, OciState, Status};
use oci_spec::runtime::Hooks;

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
        let created = self.options.create(context, &self.id, foreground.is_some())?;
        see_through(created, &self.id, foreground, self.keep, |created, hooks| {
            Ok(start_with(&mut created.sandbox.client, &self.id, &created.record, hooks)?)
        })
    }
}

/// Has a new container begin, and sees it through to its end if it is in the foreground; then it is deleted unless it is to
/// be kept. Nothing of it is left if it does not begin. A container that is suspended meanwhile is nobody's but the disk's.
pub(super) fn see_through(
    mut created: Created,
    id: &ContainerId,
    foreground: Option<Foreground>,
    keep: bool,
    begin: impl FnOnce(&mut Created, Option<&Hooks>) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let hooks = created.hooks().cloned();
    let ticket = match foreground {
        Some(_) => Some(created.sandbox.watch(id)?),
        None => None,
    };
    if let Err(error) = begin(&mut created, hooks.as_ref()) {
        created.destroy(id);
        return Err(error);
    }
    let (Some(foreground), Some(ticket)) = (foreground, ticket) else {
        created.release()?;
        return Ok(ExitCode::SUCCESS);
    };
    let status = match created.sandbox.wait(&foreground, id, ticket) {
        Err(_) if created.has_left() => {
            created.end(Duration::ZERO, true);
            return Ok(ExitCode::SUCCESS);
        }
        status => status?,
    };
    let stopped = OciState::new(id, &created.record, Status::Stopped);
    created.end(Duration::from_secs(2), keep);
    if !keep {
        hooks::run_poststop(hooks.as_ref(), &stopped);
    }
    Ok(status.code().into())
}

/// Lets a container go on that was brought back.
pub(super) fn go_on(created: &mut Created, id: &ContainerId) -> anyhow::Result<()> {
    match created.sandbox.client.call(Resume { id: id.to_string() }, &[]) {
        Ok(Done) => Ok(()),
        Err(source) => Err(created.sandbox.explain("resume the container", source).into()),
    }
}
