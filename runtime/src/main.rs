//! The cloister command: an OCI runtime whose sandboxes have their own kernel.

mod cli;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Context, Log, report, take_over};

fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    let has_file = global.log.is_some();
    let failure = command.failure_code();
    // Before anything of ours is opened, which might get one of the numbers.
    let result = take_over(&command).and_then(|preserved| {
        let log = Log::open(&global)?;
        cli::run(command, &Context::new(global, log, preserved))
    });
    result.unwrap_or_else(|error| {
        report(&error, has_file);
        failure
    })
}
