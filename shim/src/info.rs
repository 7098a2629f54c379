//! `-info`, `-v` and `--help`.

use std::io::{self, Read, Write};

use containerd_shim_protos::protobuf::{Message, MessageField};
use containerd_shim_protos::types::introspection::{RuntimeInfo, RuntimeRequest, RuntimeVersion};

use crate::error::ShimError;
use crate::options::OPTIONS_TYPE;

/// The name by which containerd's users choose the runtime.
const NAME: &str = "io.containerd.cloister.v1";

const HELP: &str = "\
containerd-shim-cloister-v1: runs containerd's containers in Cloister's sandboxes

It is started by containerd, which finds it on its PATH:

  ctr run --runtime io.containerd.cloister.v1 IMAGE ID COMMAND

Usage by hand, with a bundle's folder as working directory:

  containerd-shim-cloister-v1 -namespace NS -id ID -address /run/containerd/containerd.sock start
      starts a shim for the container, or finds that of its pod, and prints the address of its socket
  containerd-shim-cloister-v1 -namespace NS -id ID -bundle DIR delete
      removes what is left of the container when its shim has been killed
  containerd-shim-cloister-v1 -info
      tells about the runtime (a protobuf containerd.types.RuntimeInfo); standard input is a RuntimeRequest

Flags:
  -namespace NS          containerd's namespace
  -id ID                 name of the container
  -address SOCKET        containerd's socket
  -bundle DIR            folder of the container's bundle [default: the working directory]
  -publish-binary FILE   accepted and not used: events go to the socket that TTRPC_ADDRESS names [default: ADDRESS.ttrpc]
  -socket FILE           where the shim listens [default: a name made from the others in /run/containerd/s]
  -debug                 log details
  -v                     print the version
";

fn print(bytes: &[u8]) -> Result<(), ShimError> {
    io::stdout().write_all(bytes).map_err(ShimError::host("write to standard output"))
}

/// Prints what the runtime is.
pub(crate) fn run() -> Result<(), ShimError> {
    let mut request = Vec::new();
    // Options that it may hold change nothing of the answer.
    io::stdin().take(1 << 20).read_to_end(&mut request).map_err(ShimError::host("read standard input"))?;
    RuntimeRequest::parse_from_bytes(&request)
        .map_err(|error| ShimError::Request(format!("standard input is no RuntimeRequest: {error}")))?;
    let version = RuntimeVersion { version: env!("CARGO_PKG_VERSION").into(), ..Default::default() };
    let mut info =
        RuntimeInfo { name: NAME.into(), version: MessageField::some(version), ..Default::default() };
    info.annotations.insert("dev.cloister.options-type".into(), OPTIONS_TYPE.into());
    let bytes = info.write_to_bytes().map_err(|error| ShimError::Request(error.to_string()))?;
    print(&bytes)
}

/// Prints the version, as other shims do.
pub(crate) fn version() -> Result<(), ShimError> {
    print(format!("containerd-shim-cloister-v1:\n  Version:  {}\n", env!("CARGO_PKG_VERSION")).as_bytes())
}

/// Prints how the program is used.
pub(crate) fn help() -> Result<(), ShimError> {
    print(HELP.as_bytes())
}
