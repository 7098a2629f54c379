//! `cloister read`: a file of a container.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;
use cloister_proto::ByteString;
use cloister_proto::control::ReadFile;
use cloister_runtime::container::{ContainerError, connect};
use cloister_runtime::state::ContainerId;

use super::{Context, print};

/// Print a file of a container
///
/// It is read by the sandbox's kernel, as the container's processes see it; no program of the container has a part in it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cloister read web /var/log/app.log\n  \
    cloister read --offset 1000 --size 200 web /data/file > part")]
pub(crate) struct Read {
    /// Where to begin
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    offset: u64,
    /// How much to print at most [default: all]
    #[arg(long, value_name = "BYTES")]
    size: Option<u64>,
    /// Name of the container
    id: ContainerId,
    /// Path of the file in the container
    path: OsString,
}

impl Read {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let action = "read from";
        let mut client = connect(&context.store()?.peek(&self.id)?, action)?;
        let (mut offset, mut left) = (self.offset, self.size.unwrap_or(u64::MAX));
        while left > 0 {
            let request = ReadFile {
                id: self.id.to_string(),
                path: ByteString::from(self.path.clone()),
                offset,
                size: u32::try_from(left).unwrap_or(u32::MAX),
            };
            let reply = client.call(request, &[]);
            let bytes =
                reply.map_err(|source| ContainerError::Client { action, id: self.id.clone(), source })?.bytes;
            if bytes.is_empty() {
                break;
            }
            print(&bytes)?;
            offset = offset.saturating_add(bytes.len() as u64);
            left = left.saturating_sub(bytes.len() as u64);
        }
        Ok(ExitCode::SUCCESS)
    }
}
