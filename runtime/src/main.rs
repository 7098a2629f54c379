//! The cloister command: an OCI runtime whose sandboxes have their own kernel.

mod cli;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Context, Log, report};

fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    let has_file = global.log.is_some();
    let result = Log::open(&global).and_then(|log| cli::run(command, &Context::new(global, log)));
    result.unwrap_or_else(|error| {
        report(&error, has_file);
        ExitCode::FAILURE
    })
}
