//! `start`: a shim for a container, or the one that serves its pod already.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::args::Args;
use crate::error::ShimError;

/// Where shims listen.
const SOCKETS: &str = "/run/containerd/s";

/// Annotations that name a container's sandbox: containerd's and CRI-O's.
const SANDBOX_IDS: [&str; 2] = ["io.kubernetes.cri.sandbox-id", "io.kubernetes.cri-o.SandboxID"];

/// Prints the address of the shim that is to serve the container whose bundle is the working directory.
pub(crate) fn run(args: &Args) -> Result<(), ShimError> {
    // Options of the runtime may come on standard input; they come again with the container.
    let _ = io::copy(&mut io::stdin().take(1 << 20), &mut io::sink());
    let bundle = args.bundle.clone().unwrap_or_else(|| ".".into());
    let socket = socket(args, &group(&bundle, &args.id)?);
    let address = format!("unix://{}", socket.display());
    if UnixStream::connect(&socket).is_err() {
        match listen(&socket) {
            Ok(listener) => serve(args, &socket, listener)?,
            // Another container of the pod was faster.
            Err(error) if error.kind() == ErrorKind::AddrInUse && UnixStream::connect(&socket).is_ok() => {}
            Err(error) => return Err(ShimError::path("listen at", socket)(error)),
        }
    }
    // containerd finds the shim by it when it was restarted.
    let file = bundle.join("address");
    fs::write(&file, &address).map_err(ShimError::path("write", file))?;
    io::stdout().write_all(reply(&address).as_bytes()).map_err(ShimError::host("write to standard output"))
}

/// What the shims of a pod have in common: the id of the sandbox, or the container's own.
pub(crate) fn group(bundle: &Path, id: &str) -> Result<String, ShimError> {
    let path = bundle.join("config.json");
    let text = fs::read(&path).map_err(ShimError::path("read", &path))?;
    let config: Value =
        serde_json::from_slice(&text).map_err(|error| ShimError::path("read", path)(error.into()))?;
    let annotations = config.get("annotations");
    let sandbox = SANDBOX_IDS.iter().find_map(|name| annotations?.get(*name)?.as_str());
    Ok(sandbox.unwrap_or(id).to_owned())
}

/// The socket of the shim for a group of containers: a name of one length, since a socket's path must be short.
pub(crate) fn socket(args: &Args, group: &str) -> PathBuf {
    if let Some(socket) = &args.socket {
        return socket.clone();
    }
    let mut hash = Sha256::new();
    for part in [&*args.address, "/", &*args.namespace, "/", group] {
        hash.update(part);
    }
    let name: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Path::new(SOCKETS).join(name)
}

fn listen(socket: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = socket.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o711).create(folder)?;
    }
    let listener = match UnixListener::bind(socket) {
        // Nobody answers there: its shim was killed.
        Err(error) if error.kind() == ErrorKind::AddrInUse && UnixStream::connect(socket).is_err() => {
            fs::remove_file(socket)?;
            UnixListener::bind(socket)?
        }
        result => result?,
    };
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Starts the process that stays. Who connects to the socket before it has begun waits for it.
fn serve(args: &Args, socket: &Path, listener: UnixListener) -> Result<(), ShimError> {
    let fail = ShimError::host("start the shim");
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return Err(fail(error)),
    };
    let mut command = Command::new(program);
    command
        .args(["-namespace", &args.namespace, "-id", &args.id, "-address", &args.address, "-socket"])
        .arg(socket);
    if args.debug {
        command.arg("-debug");
    }
    // A shim is no matter of the terminal that containerd may have been started from.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.stdin(OwnedFd::from(listener)).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map_err(fail)?;
    Ok(())
}

/// What containerd is told: as it can speak the third version of the task service, or as all of them understand.
fn reply(address: &str) -> String {
    let version: u32 =
        std::env::var("MAX_SHIM_VERSION").ok().and_then(|version| version.parse().ok()).unwrap_or(2);
    if version >= 3 {
        serde_json::json!({ "version": 3, "address": address, "protocol": "ttrpc" }).to_string()
    } else {
        address.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Action;

    fn args() -> Args {
        Args {
            action: Action::Start,
            namespace: "n".into(),
            id: "c".into(),
            address: "/a".into(),
            bundle: None,
            socket: None,
            debug: false,
        }
    }

    #[test]
    fn a_pod_has_one_socket() {
        let folder = tempfile::tempdir().unwrap();
        let write = |text: &str| fs::write(folder.path().join("config.json"), text).unwrap();
        write(r#"{"ociVersion": "1.0.2"}"#);
        assert_eq!(group(folder.path(), "c").unwrap(), "c");
        write(r#"{"annotations": {"io.kubernetes.cri.sandbox-id": "p"}}"#);
        assert_eq!(group(folder.path(), "c").unwrap(), "p");
        let other = Args { id: "d".into(), ..args() };
        assert_eq!(socket(&args(), "p"), socket(&other, "p"));
        assert_ne!(socket(&args(), "p"), socket(&Args { namespace: "m".into(), ..args() }, "p"));
        assert!(socket(&args(), "p").as_os_str().len() < 100);
    }

    #[test]
    fn sockets_of_shims_that_were_killed_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/s");
        drop(listen(&path).unwrap());
        let _listener = listen(&path).unwrap();
        assert_eq!(listen(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
    }
}
