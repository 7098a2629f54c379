//! `cloister create`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use cloister_proto::container::Overlay;
use cloister_runtime::bundle::Bundle;
use cloister_runtime::container::{CreateOptions, Created, create};
use cloister_runtime::sandbox::Saved;
use cloister_runtime::state::ContainerId;

use super::preserve::MAX_PRESERVED;
use super::{Context, attend};

/// Create a container from an OCI bundle; `start` runs its process
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cloister create --bundle /srv/web --pid-file web.pid web && cloister start web")]
pub(crate) struct Create {
    #[command(flatten)]
    pub(super) options: BundleArgs,
    /// Name of the container
    id: ContainerId,
}

/// Flags of `create` and `run`.
#[derive(Debug, Args)]
pub(super) struct BundleArgs {
    /// Folder of the OCI bundle
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    bundle: PathBuf,
    #[command(flatten)]
    handles: HandleArgs,
    /// Number of descriptors from 3 on to pass to the container
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=MAX_PRESERVED))]
    pub(super) preserve_fds: u32,
    /// Accepted for callers of other runtimes; a sandbox's root is never pivoted to on the host
    #[arg(long, hide = true)]
    no_pivot: bool,
    /// Accepted for callers of other runtimes; a sandbox has keys of its own
    #[arg(long, hide = true)]
    no_new_keyring: bool,
}

/// Flags about what the caller gets of a new sandbox.
#[derive(Debug, Args)]
pub(super) struct HandleArgs {
    /// File to write the process id of the sandbox to
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Unix socket to send the master end of the container's terminal to
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// File that gets a line for each system call that the container asks for and the kernel does not have
    #[arg(long, value_name = "FILE")]
    user_log: Option<PathBuf>,
}

impl HandleArgs {
    /// How a container is created; in the foreground it dies with us and may have our terminal.
    ///
    /// # Errors
    ///
    /// A log cannot be opened.
    pub(super) fn options<'a>(
        &'a self,
        context: &'a Context,
        id: &ContainerId,
        foreground: bool,
    ) -> anyhow::Result<CreateOptions<'a>> {
        Ok(CreateOptions {
            overlay: context.overlay(Overlay::None),
            pid_file: self.pid_file.as_deref(),
            console_socket: self.console_socket.as_deref(),
            share_terminal: foreground,
            stdio: None,
            preserved: context.preserved(),
            cgroups: context.cgroup_policy(),
            sandbox: context.sandbox(id, self.user_log.as_deref())?,
            deputy: None,
            saved: None,
        })
    }
}

impl BundleArgs {
    /// Creates the container; in the foreground it dies with us and may have our terminal.
    pub(super) fn create(
        &self,
        context: &Context,
        id: &ContainerId,
        foreground: bool,
    ) -> anyhow::Result<Created> {
        self.create_from(context, id, foreground, None)
    }

    /// Brings a container back that was saved, as [`BundleArgs::create`] creates one. It is paused.
    pub(super) fn restore(
        &self,
        context: &Context,
        id: &ContainerId,
        foreground: bool,
        saved: Saved<'_>,
    ) -> anyhow::Result<Created> {
        self.create_from(context, id, foreground, Some(saved))
    }

    fn create_from(
        &self,
        context: &Context,
        id: &ContainerId,
        foreground: bool,
        saved: Option<Saved<'_>>,
    ) -> anyhow::Result<Created> {
        let deputy = if foreground { None } else { Some(attend::command(context, id)?) };
        let options = CreateOptions { deputy, saved, ..self.handles.options(context, id, foreground)? };
        Ok(create(&context.store()?, id, Bundle::load(&self.bundle)?, &options)?)
    }
}

impl Create {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        self.options.create(context, &self.id, false)?.release()?;
        Ok(ExitCode::SUCCESS)
    }
}
