//! The command line: a file for each subcommand.

mod args;
mod attend;
mod checkpoint;
mod completions;
mod context;
mod create;
mod debug;
mod delete;
mod do_command;
mod events;
mod exec;
mod exec_detached;
mod features;
mod install;
mod kill;
mod list;
mod log_pattern;
mod logging;
mod man;
mod pause;
mod preserve;
mod ps;
mod ps_columns;
mod read;
mod restore;
mod run;
mod spawn;
mod spec;
mod start;
mod state;
mod suspend;
mod syscalls;
mod template;
mod update;
mod usage;
mod wait;

pub(crate) use args::{Cli, Command, Global};
pub(crate) use context::Context;
pub(crate) use log_pattern::names;
pub(crate) use logging::{Log, report};
pub(crate) use preserve::take_over;

use std::process::ExitCode;

/// Runs a command. The result is its exit code.
pub(crate) fn run(command: Command, context: &Context) -> anyhow::Result<ExitCode> {
    match command {
        Command::Do(command) => command.run(context),
        Command::Run(command) => command.run(context),
        Command::Create(command) => command.run(context),
        Command::Attend(command) => command.run(context),
        Command::Start(command) => command.run(context),
        Command::State(command) => command.run(context),
        Command::Kill(command) => command.run(context),
        Command::Delete(command) => command.run(context),
        Command::List(command) => command.run(context),
        Command::Wait(command) => command.run(context),
        Command::Ps(command) => command.run(context),
        Command::Exec(command) => command.run(context),
        Command::Pause(command) => command.pause(context),
        Command::Resume(command) => command.resume(context),
        Command::Checkpoint(command) => command.run(context),
        Command::Restore(command) => command.run(context),
        Command::Suspend(command) => command.run(context),
        Command::Wake(command) => command.run(context),
        Command::Template(command) => command.run(context),
        Command::Spawn(command) => command.run(context),
        Command::Update(command) => command.run(context),
        Command::Events(command) => command.run(context),
        Command::Usage(command) => command.run(context),
        Command::Read(command) => command.run(context),
        Command::Install(command) => command.run(),
        Command::Uninstall(command) => command.run(),
        Command::Debug(command) => command.run(context),
        Command::Spec(command) => command.run(),
        Command::Features(command) => command.run(),
        Command::Syscalls(command) => command.run(context),
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
    }
}

/// Writes to standard output. A closed pipe is the reader's wish, not an error of ours.
fn print(text: impl AsRef<[u8]>) -> anyhow::Result<()> {
    use std::io::{ErrorKind, Write};
    match std::io::stdout().write_all(text.as_ref()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
