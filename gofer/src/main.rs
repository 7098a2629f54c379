//! `cloister-gofer`: the file server of a container. See the library for how it works.

use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use cloister_gofer::cli::{Args, LogFormat};
use cloister_gofer::sandbox;
use cloister_gofer::setup::{Inherited, SetupError, prepare};
use tracing_subscriber::fmt::writer::BoxMakeWriter;

fn main() -> ExitCode {
    let args = Args::parse();
    if args.print_filter {
        return exit(print_filter());
    }
    let mut inherited = Inherited::default();
    if let Err(error) = start_log(&args, &mut inherited) {
        // There is no log to write it to.
        let _ = writeln!(io::stderr(), "cloister-gofer: {error}");
        return ExitCode::FAILURE;
    }
    let server = match prepare(&args, &mut inherited) {
        Ok(server) => server,
        Err(error) => {
            if args.log_fd.is_some_and(|number| number != 2) {
                // Where the parent looks for the reason.
                let _ = writeln!(io::stderr(), "cloister-gofer: {error}");
            }
            tracing::error!("{error}");
            return ExitCode::FAILURE;
        }
    };
    exit(cloister_gofer::setup::run(server))
}

/// Starts the log.
fn start_log(args: &Args, inherited: &mut Inherited) -> Result<(), SetupError> {
    let writer = match args.log_fd {
        None | Some(2) => BoxMakeWriter::new(io::stderr),
        Some(number) => BoxMakeWriter::new(File::from(inherited.take(number)?)),
    };
    let builder =
        tracing_subscriber::fmt().with_max_level(args.log_level).with_ansi(false).with_writer(writer);
    match args.log_format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}

fn print_filter() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for rule in sandbox::rules() {
        writeln!(out, "{:<16} {:<32} {}", rule.name, format!("{:?}", rule.argument), rule.reason)?;
    }
    Ok(())
}

fn exit(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
