//! Programs that log: `binary:///PATH?KEY=VALUE&…`.
//!
//! The program gets each key and value as an argument, the names of the container and of containerd's namespace in its
//! environment, the process' output and errors as descriptors 3 and 4, and tells by closing descriptor 5 that it is ready.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{Access, AtFlags, CWD, accessat};
use tokio::process::Command;

use super::{Owner, copy, pipe};
use crate::error::ShimError;

/// How long the program may take to be ready, and to end when its input has.
const PATIENCE: Duration = Duration::from_secs(10);

/// A program that runs.
pub(super) struct Program {
    /// What it reads as output.
    pub(super) stdout: OwnedFd,
    /// What it reads as errors.
    pub(super) stderr: OwnedFd,
    /// Waits for its end.
    pub(super) end: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Puts descriptors into their places. Done by a shell, since there is no safe way to do it in a process that has forked off
/// one with other threads.
const PLACE: &str = r#"exec "$0" "$@" 3<&0 4<&1 5>&2 0</dev/null 1>/dev/null 2>/dev/null"#;

/// Starts the program and waits until it is ready.
pub(super) async fn start(uri: &str, owner: Owner<'_>) -> Result<Program, ShimError> {
    let (path, arguments) = parse(uri)?;
    // The shell that is to execute it could not tell us.
    accessat(CWD, &*path, Access::EXEC_OK, AtFlags::EACCESS)
        .map_err(|errno| ShimError::path("execute the log program", &path)(errno.into()))?;
    let (out_read, stdout) = pipe()?;
    let (error_read, stderr) = pipe()?;
    let (ready, ready_write) = pipe()?;
    let mut command = Command::new("/bin/sh");
    command.args(["-c", PLACE, &path]).args(arguments);
    command.env("CONTAINER_ID", owner.id).env("CONTAINER_NAMESPACE", owner.namespace);
    command.stdin(Stdio::from(out_read)).stdout(Stdio::from(error_read)).stderr(Stdio::from(ready_write));
    command.kill_on_drop(true);
    let mut child = command.spawn().map_err(ShimError::path("start the log program", &path))?;
    // With it goes our copy of the pipe by which it tells that it is ready.
    drop(command);
    let ready = copy::watch(ready).map_err(ShimError::host("watch a pipe"))?;
    let told = tokio::time::timeout(PATIENCE, copy::read_some(&ready, &mut [0; 1])).await;
    if told.is_err() {
        let silent = io::Error::new(io::ErrorKind::TimedOut, "it does not tell that it is ready");
        return Err(ShimError::path("start the log program", &path)(silent));
    }
    let end = Box::pin(async move {
        // How it ended is its own affair.
        let _ = child.wait().await;
    });
    Ok(Program { stdout, stderr, end })
}

/// The program's path, and its arguments.
fn parse(uri: &str) -> Result<(String, Vec<String>), ShimError> {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let path = decode(path);
    if !path.starts_with('/') {
        return Err(ShimError::Request(format!("the log program {path:?} must be an absolute path")));
    }
    let mut arguments = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        arguments.push(decode(key));
        if !value.is_empty() {
            arguments.push(decode(value));
        }
    }
    Ok((path, arguments))
}

/// Undoes the escapes of a URI (RFC 3986, 2.1) and of a query.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => {
                let digit =
                    |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(high).zip(digit(low)).map(|(high, low)| high << 4 | low)
            }
            _ => None,
        };
        let byte;
        (rest, byte) = match escaped {
            Some(byte) => (tail.get(2..).unwrap_or_default(), byte),
            None => (tail, if *first == b'+' { b' ' } else { *first }),
        };
        bytes.push(byte);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn uris_become_command_lines() {
        let (path, arguments) = parse("/bin/a%20b?id=x%26y&flag").unwrap();
        assert_eq!((&*path, arguments), ("/bin/a b", vec!["id".into(), "x&y".into(), "flag".into()]));
        parse("bin/a").unwrap_err();
        assert_eq!(decode("100%"), "100%");
    }

    #[tokio::test]
    async fn programs_get_the_output() {
        let folder = tempfile::tempdir().unwrap();
        let (program, log) = (folder.path().join("log.sh"), folder.path().join("log"));
        let script = "#!/bin/sh\nexec 5>&-\n{ echo \"$CONTAINER_NAMESPACE/$CONTAINER_ID\"; cat <&3; cat <&4; } > \"$2\"\n";
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let uri = format!("{}?file={}", program.display(), log.display());
        let started = start(&uri, Owner { namespace: "n", id: "c" }).await.unwrap();
        std::fs::File::from(started.stdout).write_all(b"out\n").unwrap();
        std::fs::File::from(started.stderr).write_all(b"err\n").unwrap();
        started.end.await;
        assert_eq!(std::fs::read_to_string(log).unwrap(), "n/c\nout\nerr\n");
        let missing = start("/nonexistent/program", Owner { namespace: "n", id: "c" }).await;
        assert!(missing.is_err());
    }
}
