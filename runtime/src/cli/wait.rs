//! `cloister wait`.

use std::process::ExitCode;

use clap::Args;
use cloister_proto::control::{OnHangUp, Wait as Request};
use cloister_runtime::container::{ContainerError, connect};
use cloister_runtime::state::{ContainerId, StateError, Status};

use super::Context;

/// Wait for a container's end; the exit code is its process'
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cloister wait web; echo $?")]
pub(crate) struct Wait {
    /// Name of the container
    id: ContainerId,
}

impl Wait {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let action = "wait for";
        let fail = |source| ContainerError::Client { action, id: self.id.clone(), source };
        let entry = context.store()?.peek(&self.id)?;
        if !entry.is_suspended() && entry.record()?.boot.open().is_none() {
            // How it ended was told to who waited then.
            let (id, status) = (self.id.clone(), Status::Stopped);
            return Err(StateError::WrongStatus { id, action, status }.into());
        }
        let mut client = connect(&entry, action)?;
        client.set_timeout(None).map_err(fail)?;
        let status = client
            .call(Request { id: self.id.to_string(), on_hang_up: OnHangUp::GoOn }, &[])
            .map_err(fail)?;
        Ok(status.code().into())
    }
}
