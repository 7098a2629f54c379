//! `delete`: removes what is left of a container when its shim was killed. containerd runs it then, and to be sure after
//! others.

use std::fs;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::time::SystemTime;

use cloister_runtime::container::delete;
use cloister_runtime::state::{ContainerId, StateError};
use containerd_shim_protos::api::DeleteResponse;
use containerd_shim_protos::protobuf::{Message, MessageField};

use crate::args::Args;
use crate::error::ShimError;
use crate::options::Kept;
use crate::{rootfs, start};

/// Exit status of a container whose shim was killed.
const KILLED: u32 = 128 + 9;

/// Removes the container, and tells how it ended on standard output.
pub(crate) fn run(args: &Args) -> Result<(), ShimError> {
    let bundle = args.bundle.clone().unwrap_or_else(|| ".".into());
    let id: ContainerId =
        args.id.parse().map_err(|error| ShimError::Request(format!("-id {:?}: {error}", args.id)))?;
    let store = Kept::read(&bundle).store(&args.namespace);
    match store.open(&id) {
        Ok(entry) => delete(entry, true)?,
        Err(StateError::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
    }
    rootfs::unmount(&bundle.join("rootfs"))?;
    // A socket at which nobody listens is what a shim leaves that was killed.
    if let Ok(group) = start::group(&bundle, &args.id) {
        let socket = start::socket(args, &group);
        if UnixStream::connect(&socket).is_err() {
            // It may never have been there.
            let _ = fs::remove_file(socket);
        }
    }
    let response = DeleteResponse {
        exit_status: KILLED,
        exited_at: MessageField::some(SystemTime::now().into()),
        ..Default::default()
    };
    let bytes = response.write_to_bytes().map_err(|error| ShimError::Request(error.to_string()))?;
    io::stdout().write_all(&bytes).map_err(ShimError::host("write to standard output"))
}
