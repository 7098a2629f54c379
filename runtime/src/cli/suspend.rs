//! `cloister suspend` and `cloister wake`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use cloister_runtime::container::{suspend, wake};
use cloister_runtime::state::ContainerId;

use super::Context;
use super::create::HandleArgs;

/// Save a container to the disk and end all that runs of it
///
/// It uses no processor and no memory then; `wake` brings it back under the same name. It goes on as before if it cannot be
/// saved.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cloister suspend web\n  \
    cloister suspend --image-path /srv/suspended/web web")]
pub(crate) struct Suspend {
    /// Folder that becomes the image; an earlier image there is replaced [default: one in the container's state]
    #[arg(long, value_name = "DIR")]
    image_path: Option<PathBuf>,
    /// Name of the container
    id: ContainerId,
}

/// Bring a suspended container back
///
/// Its processes go on where they were. Standard input, output and error are those of this command, which does not wait.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cloister wake web\n  \
    cloister wake --pid-file web.pid web </dev/null >>web.log 2>&1")]
pub(crate) struct Wake {
    #[command(flatten)]
    handles: HandleArgs,
    /// Name of the container
    id: ContainerId,
}

impl Suspend {
    pub(crate) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        suspend(&context.store()?.open(&self.id)?, self.image_path.as_deref())?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Wake {
    pub(crate) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let store = context.store()?;
        let entry = store.open(&self.id)?;
        wake(&store, entry, self.handles.options(context, &self.id, false)?)?;
        Ok(ExitCode::SUCCESS)
    }
}
