//! `cloister exec`: another process in a container.

use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use cloister_proto::container::ProcessSpec;
use cloister_proto::control::{Client, Execute, OnHangUp};
use cloister_runtime::bundle::{convert_process, parse_process};
use cloister_runtime::container::{Console, ContainerError, connect, write_pid_file};
use cloister_runtime::foreground::Foreground;
use cloister_runtime::state::{ContainerId, Entry};

use super::Context;
use super::exec_detached::{self, Starter};
use super::preserve::MAX_PRESERVED;

/// Run another process in a container
///
/// Signals are passed on to the process. The exit code is the process', 128+N if signal N ended it, and 255 if it cannot be
/// run. With --detach, a process of the host stands for it: it passes signals on, ends as the process does, and takes the
/// process with it if it is killed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cloister exec web ps aux\n  \
    cloister exec -t -u 1000 --cwd /tmp web sh\n  \
    cloister exec --detach --pid-file job.pid web backup && kill $(cat job.pid)\n  \
    cloister exec --process process.json web")]
pub(crate) struct Exec {
    /// Set a variable of the environment
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Working directory [default: the container's]
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
    /// User and group [default: the container's]
    #[arg(short, long, value_name = "UID[:GID]", value_parser = parse_user)]
    user: Option<(u32, Option<u32>)>,
    /// Supplementary group
    #[arg(short = 'g', long, value_name = "GID")]
    additional_gids: Vec<u32>,
    /// Capability to have besides the container's
    #[arg(short, long, value_name = "CAP_NAME", value_parser = parse_capability)]
    cap: Vec<u64>,
    /// Never gain privileges
    #[arg(long)]
    no_new_privs: bool,
    /// Give the process a terminal
    #[arg(short, long)]
    tty: bool,
    #[command(flatten)]
    waiting: Waiting,
    /// OCI process description to use instead of the other flags
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["env", "cwd", "user", "additional_gids", "cap", "command"])]
    process: Option<PathBuf>,
    /// Unix socket to send the master end of the terminal to
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// File to write the id of the process that stands for it on the host to
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// File to write its id inside the sandbox to
    #[arg(long, value_name = "FILE")]
    internal_pid_file: Option<PathBuf>,
    /// Number of descriptors from 3 on to pass to the process
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=MAX_PRESERVED))]
    preserve_fds: u32,
    /// Accepted for callers of other runtimes, without effect
    #[arg(long, hide = true)]
    apparmor: Option<String>,
    /// Accepted for callers of other runtimes, without effect
    #[arg(long, hide = true)]
    process_label: Option<String>,
    /// Name of the container
    id: ContainerId,
    /// The command and its arguments
    #[arg(required_unless_present = "process", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Who waits for what.
#[derive(Debug, Args)]
struct Waiting {
    /// Do not wait for its end
    #[arg(short, long)]
    detach: bool,
    /// Let the process wait for the end of a pause instead of refusing it
    #[arg(long)]
    ignore_paused: bool,
}

const ACTION: &str = "execute in";

impl Exec {
    /// How many descriptors this process takes over.
    pub(super) fn preserved(&self) -> u32 {
        // Who starts a deputy leaves them to that.
        if self.waiting.detach && !exec_detached::is_deputy() { 0 } else { self.preserve_fds }
    }

    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        if !self.waiting.detach {
            let (mut client, foreground, pid) = self.start(context, OnHangUp::GoOn)?;
            self.write_pids(std::process::id(), pid)?;
            return self.wait(&mut client, &foreground, pid);
        }
        if !exec_detached::is_deputy() {
            let (host, inside) = exec_detached::start()?;
            self.write_pids(host, inside)?;
            return Ok(ExitCode::SUCCESS);
        }
        let starter = Starter::adopt()?;
        let started = self.start(context, OnHangUp::Kill);
        starter.tell(started.as_ref().map(|(.., pid)| pid));
        match started {
            Ok((mut client, foreground, pid)) => self.wait(&mut client, &foreground, pid),
            // The starter tells it to the user.
            Err(_) => Ok(ExitCode::from(255)),
        }
    }

    /// Starts the process; returns its id inside.
    fn start(&self, context: &Context, on_hang_up: OnHangUp) -> anyhow::Result<(Client, Foreground, i32)> {
        let entry = context.store()?.peek(&self.id)?;
        let mut process = self.process(&entry)?;
        process.preserved = u32::try_from(context.preserved().len())?;
        let foreground = Foreground::begin()?;
        let console = self.console(&process)?;
        let mut files: Vec<BorrowedFd<'_>> = match &console {
            Some(terminal) => vec![terminal.as_fd(); 3],
            None => vec![rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()],
        };
        files.extend(context.preserved().iter().map(AsFd::as_fd));
        let mut client = connect(&entry, ACTION)?;
        let (id, ignore_paused) = (self.id.to_string(), self.waiting.ignore_paused);
        let request = Execute { id, process: Box::new(process), ignore_paused, on_hang_up };
        let pid = client.call(request, &files).map_err(|source| self.fail(source))?.pid;
        Ok((client, foreground, pid))
    }

    fn console(&self, process: &ProcessSpec) -> anyhow::Result<Option<OwnedFd>> {
        match (&self.console_socket, process.terminal) {
            (Some(socket), true) => {
                let terminal = Console::new(None)?.send(socket)?;
                // A deputy has a session of its own, and so gets the signals of the terminal's keys. Others have theirs.
                let _ = rustix::process::ioctl_tiocsctty(&terminal);
                Ok(Some(terminal))
            }
            (Some(_), false) => Err(ContainerError::UnusedConsole.into()),
            (None, true) if !std::io::stdin().is_terminal() => {
                anyhow::bail!("standard input is not a terminal; leave --tty out, or use --console-socket")
            }
            (None, _) => Ok(None),
        }
    }

    fn wait(&self, client: &mut Client, foreground: &Foreground, pid: i32) -> anyhow::Result<ExitCode> {
        client.set_timeout(None).map_err(|source| self.fail(source))?;
        let status = foreground.wait_pid(client, &self.id, pid).map_err(|source| self.fail(source))?;
        Ok(status.code().into())
    }

    fn fail(&self, source: cloister_proto::control::ClientError) -> ContainerError {
        ContainerError::Client { action: ACTION, id: self.id.clone(), source }
    }

    fn write_pids(&self, host: u32, inside: i32) -> anyhow::Result<()> {
        if let Some(path) = &self.internal_pid_file {
            write_pid_file(path, inside)?;
        }
        if let Some(path) = &self.pid_file {
            write_pid_file(path, i32::try_from(host)?)?;
        }
        Ok(())
    }

    /// The process: from the file, or the container's own with changes.
    fn process(&self, entry: &Entry) -> anyhow::Result<ProcessSpec> {
        if let Some(path) = &self.process {
            let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            let process = parse_process(&text)
                .with_context(|| format!("{} is not a valid OCI process", path.display()))?;
            let mut process = convert_process(&process, "process")?;
            process.terminal |= self.tty;
            return Ok(process);
        }
        let config = entry.config()?;
        let process = config.process().as_ref().context("the container's configuration has no process")?;
        let mut process = convert_process(process, "process")?;
        process.args = self.command.iter().map(|argument| argument.as_str().into()).collect();
        for variable in &self.env {
            let name = variable.split_once('=').map_or(&**variable, |(name, _)| name).as_bytes();
            process.env.retain(|known| known.split(|byte| *byte == b'=').next() != Some(name));
            process.env.push(variable.as_str().into());
        }
        process.terminal = self.tty;
        process.no_new_privileges |= self.no_new_privs;
        if let Some(cwd) = &self.cwd {
            process.cwd = cwd.as_str().into();
        }
        if let Some((uid, gid)) = self.user {
            process.user.uid = uid;
            process.user.gid = gid.unwrap_or(process.user.gid);
        }
        process.user.additional_gids.extend(&self.additional_gids);
        for bit in &self.cap {
            let sets = &mut process.capabilities;
            for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
                *set |= bit;
            }
        }
        Ok(process)
    }
}

/// Parses `UID[:GID]`.
fn parse_user(text: &str) -> Result<(u32, Option<u32>), String> {
    match text.split_once(':') {
        Some(_) => super::do_command::parse_user(text).map(|(uid, gid)| (uid, Some(gid))),
        None => super::do_command::parse_user(text).map(|(uid, _)| (uid, None)),
    }
}

/// Parses the name of a capability, with or without `CAP_`, in any case.
fn parse_capability(text: &str) -> Result<u64, String> {
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
    let capability = name.parse::<caps::Capability>();
    capability
        .map(|known| known.bitmask())
        .map_err(|_| format!("{text:?} is not a capability, such as CAP_NET_ADMIN"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_capabilities_are_read() {
        assert_eq!(parse_user("7"), Ok((7, None)));
        assert_eq!(parse_user("7:8"), Ok((7, Some(8))));
        parse_user("root").unwrap_err();
        assert_eq!(parse_capability("CAP_KILL"), Ok(1 << 5));
        assert_eq!(parse_capability("kill"), Ok(1 << 5));
        assert!(parse_capability("CAP_NOPE").unwrap_err().contains("CAP_NOPE"));
    }
}
