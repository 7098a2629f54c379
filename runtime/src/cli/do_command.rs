//! `cloister do`: one command, over the host's files, without an image or a daemon.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use cloister_proto::ByteString;
use cloister_proto::container::Overlay;
use cloister_proto::control::{ClientError, ErrorKind, StartContainer};
use cloister_runtime::foreground::Foreground;
use cloister_runtime::host::{HostRequest, Volume};
use cloister_runtime::sandbox::Sandbox;
use cloister_runtime::state::{ContainerId, Store};
use rustix::io::Errno;

use super::{Context, logging};

/// Run a command over the host's files in a sandbox
///
/// The command sees the host's root file system, or that of --root, and may write to it; writes go to memory and are lost
/// at its end. It has no network but a loopback device. Standard input, output and error, the working directory and the
/// environment are the caller's.
///
/// The exit code is the command's, 128+N if signal N ended it, 127 if it was not found, 126 if it cannot be executed, and
/// 125 if the sandbox itself failed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cloister do -- sh -c 'uname -a; ls /'\n  \
    cloister do --strace -- cat /etc/hostname\n  \
    cloister do --volume ./out:/out -- make install DESTDIR=/out\n  \
    cloister do --root ./debian --user 1000:1000 -- bash")]
pub(crate) struct Do {
    /// Folder that is the root file system
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Working directory [default: the caller's; / with --root]
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// Set a variable of the environment, or, without a value, remove it
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<OsString>,
    /// User and group to run as
    #[arg(short, long, value_name = "UID[:GID]", default_value = "0:0", value_parser = parse_user)]
    user: (u32, u32),
    /// Host name
    #[arg(long, value_name = "NAME", default_value = "cloister")]
    hostname: String,
    /// Make a folder or file of the host visible; writes reach the host unless :ro is given
    #[arg(short, long, value_name = "SOURCE:DESTINATION[:ro]")]
    volume: Vec<Volume>,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Exit code when the sandbox itself failed, as of `env`, `timeout` and `docker run`.
const SANDBOX_FAILED: u8 = 125;
/// Exit code when the command cannot be executed, as of shells.
const NOT_EXECUTABLE: u8 = 126;
/// Exit code when there is no such command, as of shells.
const NOT_FOUND: u8 = 127;

impl Do {
    /// The id of this process' sandbox.
    pub(super) fn id() -> ContainerId {
        format!("do-{}", std::process::id()).parse().expect("letters and digits are an id")
    }

    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let code = self.run_sandbox(context).unwrap_or_else(|error| {
            logging::report(&error);
            SANDBOX_FAILED
        });
        Ok(code.into())
    }

    fn run_sandbox(self, context: &Context) -> anyhow::Result<u8> {
        let name = self.command.first().cloned().unwrap_or_default();
        let prepared = self.request(context)?.prepare()?;
        let foreground = Foreground::begin()?;
        let id = Self::id();
        let place = tempfile::Builder::new().prefix("cloister-").tempdir().context("cannot make a folder")?;
        let entry = Store::new(place.path().to_owned()).create(&id)?;
        let stdio = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
        let mut options = context.sandbox(&id, None)?;
        options.logs.boot = options.logs.boot.or(trace_target(context)?);
        let mut sandbox = Sandbox::create(&entry, prepared, &stdio, &options)?;
        // Nobody else is to connect; and so nothing is left behind however this process ends.
        drop(entry);
        place.close().context("cannot remove a folder of our own")?;
        let ticket = sandbox.watch(&id)?;
        if let Err(error) = sandbox.client.call(StartContainer { id: id.to_string() }, &[]) {
            if let ClientError::Failed(failure) = &error
                && let ErrorKind::Execute(errno) = failure.kind
            {
                let message = match failure.message.strip_prefix("execute ") {
                    Some(rest) => format!("cannot execute {rest}"),
                    None => format!("cannot execute {}: {}", name.display(), failure.message),
                };
                logging::report(&anyhow!(message));
                return Ok(exit_code_of(errno));
            }
            return Err(sandbox.explain("start the command", error).into());
        }
        let status = sandbox.wait(&foreground, &id, ticket)?;
        sandbox.finish(Duration::from_secs(2));
        Ok(status.code())
    }

    fn request(self, context: &Context) -> anyhow::Result<HostRequest> {
        let cwd = match self.cwd {
            Some(cwd) => cwd,
            None if self.root.as_os_str() == "/" => {
                env::current_dir().context("the current folder is gone; use --cwd")?
            }
            None => "/".into(),
        };
        anyhow::ensure!(cwd.is_absolute(), "--cwd {cwd:?} must be an absolute path");
        Ok(HostRequest {
            root: self.root,
            overlay: context.overlay(Overlay::Memory { size: None }),
            args: self.command.into_iter().map(ByteString::from).collect(),
            env: environment(&self.env),
            cwd,
            user: self.user,
            hostname: self.hostname,
            volumes: self.volume,
            terminal: std::io::stdin().is_terminal(),
        })
    }
}

/// The system call trace is for the user to see: it goes to standard error unless there is a log file.
fn trace_target(context: &Context) -> anyhow::Result<Option<Arc<File>>> {
    if context.global.strace.is_none() && !context.global.debug {
        return Ok(None);
    }
    let copy = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3)?;
    Ok(Some(Arc::new(copy.into())))
}

fn exit_code_of(errno: i32) -> u8 {
    if errno == Errno::NOENT.raw_os_error() { NOT_FOUND } else { NOT_EXECUTABLE }
}

/// The caller's environment with changes.
fn environment(changes: &[OsString]) -> Vec<ByteString> {
    use std::os::unix::ffi::OsStrExt;
    let mut variables: Vec<(Vec<u8>, Vec<u8>)> =
        env::vars_os().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
    for change in changes {
        let mut parts = change.as_bytes().splitn(2, |byte| *byte == b'=');
        let name = parts.next().unwrap_or_default();
        variables.retain(|(known, _)| known != name);
        if let Some(value) = parts.next() {
            variables.push((name.to_vec(), value.to_vec()));
        }
    }
    variables.into_iter().map(|(name, value)| [&name[..], b"=", &value].concat().into()).collect()
}

/// Parses `UID[:GID]`; the group is the user's number if it is not given.
pub(super) fn parse_user(text: &str) -> Result<(u32, u32), String> {
    let number =
        |text: &str| text.parse::<u32>().map_err(|_| format!("{text:?} is not a number of a user or group"));
    match text.split_once(':') {
        Some((uid, gid)) => Ok((number(uid)?, number(gid)?)),
        None => number(text).map(|uid| (uid, uid)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_numbers() {
        assert_eq!(parse_user("7"), Ok((7, 7)));
        assert_eq!(parse_user("7:8"), Ok((7, 8)));
        for bad in ["", "root", "1:", ":1", "-1", "4294967296"] {
            assert!(parse_user(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn environment_changes_replace_and_remove() {
        let env = environment(&["A=b=c".into(), "PATH".into()]);
        assert!(env.contains(&"A=b=c".into()));
        assert!(!env.iter().any(|variable| variable.starts_with(b"PATH=")));
    }

    #[test]
    fn exit_codes_are_a_shell_s() {
        assert_eq!(exit_code_of(2), 127);
        assert_eq!(exit_code_of(13), 126);
        assert_eq!(exit_code_of(8), 126);
    }
}
