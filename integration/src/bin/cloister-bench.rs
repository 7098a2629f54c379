//! Prints what Cloister costs beside native Linux, `crun` and gVisor.

use std::io::{self, Write};

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use cloister_integration::Place;
use cloister_integration::bench::{self, Options};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Measure Cloister beside native Linux, crun and gVisor, interleaved in one run
///
/// The programs must have been built with the same profile: `cargo build --release` first, then run this with --release.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often each is measured; medians are shown
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Run everything on one processor
    #[arg(long)]
    pin: bool,
    /// Cloister's platform [default: its own choice]
    #[arg(long)]
    platform: Option<String>,
    /// Only Cloister, without the others
    #[arg(long)]
    alone: bool,
    /// Only these rows of the micro benchmark
    rows: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// A table for people.
    Table,
    /// An object for programs.
    Json,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.pin {
        let mut cpus = CpuSet::new();
        cpus.set(0).context("cannot name processor 0")?;
        sched_setaffinity(Pid::from_raw(0), &cpus).context("cannot keep to processor 0")?;
    }
    let platform = arguments.platform.map(|name| &*name.leak());
    let own = Place::Cloister(platform);
    let others = [Place::Native, Place::Crun, Place::Runsc("ptrace"), Place::Runsc("systrap")];
    let places = if arguments.alone { vec![own] } else { others.into_iter().chain([own]).collect() };
    let options = Options { rounds: arguments.rounds, places, rows: arguments.rows };
    let report = bench::measure(&options, |state| {
        // Standard error may be closed: the report is what counts.
        let _ = writeln!(io::stderr(), "{state}");
    })?;
    let mut output = io::stdout().lock();
    match arguments.format {
        Format::Table => write!(output, "{report}")?,
        Format::Json => writeln!(output, "{}", report.to_json())?,
    }
    Ok(())
}
