//! Prints what Cloister costs beside native Linux, `crun` and gVisor.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use cloister_integration::Place;
use cloister_integration::bench::{self, GROUPS, Group, Options};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Measure Cloister beside native Linux, crun and gVisor, interleaved in one run
///
/// The programs must have been built with the same profile: `cargo build --release` first, then run this with --release.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often each is measured; medians are shown
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Also draw the ratios
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Run everything on one processor
    #[arg(long)]
    pin: bool,
    /// Where to measure; the last is compared with the others
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "native,crun,runsc-ptrace,runsc-systrap,cloister-ptrace,cloister"
    )]
    places: Vec<Place>,
    /// Only these groups, or rows whose names begin so
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
    let rows = bench::select(&arguments.rows);
    ensure!(
        !rows.is_empty(),
        "no such row: there are {}",
        GROUPS.iter().map(Group::to_string).collect::<Vec<_>>().join("; ")
    );
    let options = Options { rounds: arguments.rounds, places: arguments.places, rows };
    let report = bench::measure(&options, |state| {
        // Standard error may be closed: the report is what counts.
        let _ = writeln!(io::stderr(), "{state}");
    })?;
    if let Some(path) = arguments.plot {
        std::fs::write(&path, bench::svg(&report))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let mut output = io::stdout().lock();
    match arguments.format {
        Format::Table => write!(output, "{report}")?,
        Format::Json => writeln!(output, "{}", report.to_json())?,
    }
    ensure!(report.is_complete(), "not all could be measured");
    Ok(())
}
