//! `cloister debug`: looking into a sandbox's kernel, and talking to one that was started by hand.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use cloister_proto::ByteString;
use cloister_proto::container::Overlay;
use cloister_proto::control::{
    Client, CreateContainer, Method, OnHangUp, SetLog, Stacks, StartContainer, Statistics, StatisticsReply,
    Strace, Timeline,
};
use cloister_proto::transport::Connection;
use cloister_runtime::container::{ContainerError, connect, programs_of};
use cloister_runtime::foreground::Foreground;
use cloister_runtime::host::HostRequest;
use cloister_runtime::state::ContainerId;

use super::{Context, print};

/// Look into a sandbox's kernel
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cloister debug stacks web\n  \
    cloister debug strace web on\n  \
    cloister debug strace web openat,execve\n  \
    cloister debug log web info,cloister_boot::fs=debug\n  \
    cloister debug timeline web\n\n  \
    Kernel and file server started by hand, each in a terminal of its own:\n  \
    cloister-boot --control /tmp/boot.sock --log-level debug\n  \
    cloister-gofer --listen /tmp/root.sock:/path/to/rootfs\n  \
    cloister debug attach --control /tmp/boot.sock --gofer /tmp/root.sock -- /bin/sh")]
pub(crate) struct Debug {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a command in a kernel that was started by hand
    Attach(Attach),
    /// Print what every task is doing
    Stacks {
        /// Name of the container
        id: ContainerId,
    },
    /// Change which system calls are traced; the trace goes to the sandbox's log
    Strace {
        /// Name of the container
        id: ContainerId,
        /// on, off, or the calls' names with commas between them, such as openat,read
        calls: String,
    },
    /// Change what the sandbox's kernel logs
    Log {
        /// Name of the container
        id: ContainerId,
        /// error, warn, info, debug or trace; or directives such as info,cloister_boot::fs=debug
        filter: String,
    },
    /// Print where the time of creating and starting a sandbox went, in milliseconds
    Timeline {
        /// Name of the sandbox's root container
        id: ContainerId,
    },
    /// Print what a container uses as JSON
    Statistics {
        /// Name of the container
        id: ContainerId,
    },
}

/// Arguments of `debug attach`.
#[derive(Debug, Args)]
struct Attach {
    /// Control socket of the kernel
    #[arg(long, value_name = "SOCKET")]
    control: PathBuf,
    /// Socket of the file server, which serves the root file system
    #[arg(long, value_name = "SOCKET")]
    gofer: PathBuf,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Debug {
    pub(crate) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Attach(attach) => return attach.run(context),
            Command::Stacks { id } => print(ask(context, &id, "look into", Stacks)?.text)?,
            Command::Timeline { id } => {
                let mut timeline = context.store()?.peek(&id)?.record()?.timeline;
                timeline.add(ask(context, &id, "look into", Timeline)?.marks);
                print(timeline.table())?;
            }
            Command::Strace { id, calls } => {
                let calls = match calls.as_str() {
                    "on" => "all".into(),
                    "off" => "none".into(),
                    _ => calls,
                };
                ask(context, &id, "trace", Strace { calls })?;
            }
            Command::Log { id, filter } => drop(ask(context, &id, "change the log of", SetLog { filter })?),
            Command::Statistics { id } => {
                let record = context.store()?.peek(&id)?.record()?;
                let reply = ask(context, &id, "look into", Statistics { id: id.to_string() })?;
                print(statistics(&reply, programs_of(&record, &reply.memory_holders)))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn ask<M: Method>(
    context: &Context,
    id: &ContainerId,
    action: &'static str,
    request: M,
) -> anyhow::Result<M::Reply> {
    let entry = context.store()?.peek(id)?;
    let reply = connect(&entry, action)?.call(request, &[]);
    Ok(reply.map_err(|source| ContainerError::Client { action, id: id.clone(), source })?)
}

fn statistics(reply: &StatisticsReply, memory: u64) -> String {
    let value = serde_json::json!({
        "tasks": reply.tasks,
        "userTime": reply.user_time,
        "systemTime": reply.system_time,
        "memory": memory,
        "syscalls": reply.syscalls,
    });
    format!("{value:#}\n")
}

impl Attach {
    fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let gofer = UnixStream::connect(&self.gofer)
            .with_context(|| format!("cannot connect to the gofer at {}", self.gofer.display()))?;
        let foreground = Foreground::begin()?;
        let mut client = Connection::connect(&self.control)
            .map_err(Into::into)
            .and_then(|connection| Client::new(connection, Some(Duration::from_secs(10))))
            .with_context(|| format!("cannot connect to the kernel at {}", self.control.display()))?;
        let request = HostRequest {
            root: "/".into(),
            overlay: context.overlay(Overlay::Memory { size: None }),
            args: self.command.into_iter().map(ByteString::from).collect(),
            env: vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()],
            cwd: "/".into(),
            user: (0, 0),
            hostname: "cloister".into(),
            volumes: Vec::new(),
            terminal: std::io::stdin().is_terminal(),
        };
        // Only the description is of use: what is served, the gofer that was started by hand decides.
        let spec = request.prepare()?.spec;
        let id: ContainerId = "attached".parse()?;
        let create = CreateContainer { id: id.to_string(), spec: Box::new(spec) };
        let descriptors =
            [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr(), gofer.as_fd()];
        client.call(create, &descriptors).context("cannot create the container")?;
        drop(gofer);
        let ticket = Foreground::watch(&mut client, &id, OnHangUp::GoOn)?;
        client.call(StartContainer { id: id.to_string() }, &[]).context("cannot start the command")?;
        Ok(foreground.wait(&mut client, &[], &id, ticket)?.code().into())
    }
}
