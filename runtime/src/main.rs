//! The cloister command: an OCI runtime whose sandboxes have their own kernel.

mod cli;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use cli::{Cli, Context, Log, names, report, take_over};

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let Cli { global, command } = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let names = names(&matches);
    let failure = command.failure_code();
    // Before anything of ours is opened, which might get one of the numbers.
    let result = take_over(&command).and_then(|preserved| {
        let log = Log::open(&global, &names)?;
        cli::run(command, &Context::new(global, log, names, preserved))
    });
    result.unwrap_or_else(|error| {
        report(&error);
        failure
    })
}
