//! `cloister pause` and `cloister resume`.

use std::process::ExitCode;

use clap::Args;
use cloister_proto::control::{self, Done, Method};
use cloister_runtime::container::{ContainerError, connect};
use cloister_runtime::state::ContainerId;

use super::Context;

/// Freeze all processes of a container
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cloister pause web")]
pub(crate) struct Pause {
    /// Name of the container
    id: ContainerId,
}

/// Let a frozen container go on
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cloister resume web")]
pub(crate) struct Resume {
    /// Name of the container
    id: ContainerId,
}

impl Pause {
    pub(crate) fn pause(&self, context: &Context) -> anyhow::Result<ExitCode> {
        ask(context, &self.id, control::Pause { id: self.id.to_string() }, "pause")
    }
}

impl Resume {
    pub(crate) fn resume(&self, context: &Context) -> anyhow::Result<ExitCode> {
        ask(context, &self.id, control::Resume { id: self.id.to_string() }, "resume")
    }
}

fn ask<M: Method<Reply = Done>>(
    context: &Context,
    id: &ContainerId,
    request: M,
    action: &'static str,
) -> anyhow::Result<ExitCode> {
    let entry = context.store()?.open(id)?;
    connect(&entry, action)?.call(request, &[]).map_err(|source| ContainerError::Client {
        action,
        id: id.clone(),
        source,
    })?;
    Ok(ExitCode::SUCCESS)
}
