//! `cloister exec`: another process in a container.

use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use cloister_proto::container::ProcessSpec;
use cloister_proto::control::{Execute, WaitPid};
use cloister_runtime::bundle::{convert_process, parse_process};
use cloister_runtime::container::{Console, ContainerError, connect};
use cloister_runtime::state::{ContainerId, Entry};

use super::Context;
use super::do_command::parse_user;

/// Run another process in a container
///
/// The exit code is the process', 128+N if signal N ended it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cloister exec web ps aux\n  cloister exec -t -u 1000 --cwd /tmp web sh")]
pub(crate) struct Exec {
    /// Set a variable of the environment
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Working directory [default: the container's]
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
    /// User and group [default: the container's]
    #[arg(short, long, value_name = "UID[:GID]", value_parser = parse_user)]
    user: Option<(u32, u32)>,
    /// Give the process a terminal
    #[arg(short, long)]
    tty: bool,
    /// Do not wait for its end
    #[arg(short, long)]
    detach: bool,
    /// OCI process description to use instead of the other flags
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["env", "cwd", "user", "command"])]
    process: Option<PathBuf>,
    /// Unix socket to send the master end of the terminal to
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// File to write the process id inside the sandbox to
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Name of the container
    id: ContainerId,
    /// The command and its arguments
    #[arg(required_unless_present = "process", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

impl Exec {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let action = "execute in";
        let fail = |source| ContainerError::Client { action, id: self.id.clone(), source };
        let entry = context.store()?.peek(&self.id)?;
        let process = self.process(&entry)?;
        let console = match (&self.console_socket, process.terminal) {
            (Some(socket), true) => Some(Console::new(None)?.send(socket)?),
            (Some(_), false) => return Err(ContainerError::UnusedConsole.into()),
            (None, true) if !std::io::stdin().is_terminal() => {
                anyhow::bail!("standard input is not a terminal; leave --tty out, or use --console-socket")
            }
            (None, _) => None,
        };
        let stdio: [BorrowedFd<'_>; 3] = match &console {
            Some(terminal) => [terminal.as_fd(); 3],
            None => [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()],
        };
        let mut client = connect(&entry, action)?;
        let request = Execute { id: self.id.to_string(), process: Box::new(process) };
        let pid = client.call(request, &stdio).map_err(fail)?.pid;
        if let Some(path) = &self.pid_file {
            std::fs::write(path, pid.to_string())
                .with_context(|| format!("cannot write the pid file {}", path.display()))?;
        }
        if self.detach {
            return Ok(ExitCode::SUCCESS);
        }
        client.set_timeout(None).map_err(fail)?;
        let status = client.call(WaitPid { id: self.id.to_string(), pid }, &[]).map_err(fail)?;
        Ok(status.code().into())
    }

    /// The process: from the file, or the container's own with changes.
    fn process(&self, entry: &Entry) -> anyhow::Result<ProcessSpec> {
        if let Some(path) = &self.process {
            let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            let process = parse_process(&text)
                .with_context(|| format!("{} is not a valid OCI process", path.display()))?;
            return Ok(convert_process(&process, "process")?);
        }
        let config = entry.config()?;
        let process = config.process().as_ref().context("the container's configuration has no process")?;
        let mut process = convert_process(process, "process")?;
        process.args = self.command.iter().map(|argument| argument.as_str().into()).collect();
        process.env.extend(self.env.iter().map(|variable| variable.as_str().into()));
        process.terminal = self.tty;
        if let Some(cwd) = &self.cwd {
            process.cwd = cwd.as_str().into();
        }
        if let Some((uid, gid)) = self.user {
            (process.user.uid, process.user.gid) = (uid, gid);
            process.user.additional_gids.clear();
        }
        Ok(process)
    }
}
