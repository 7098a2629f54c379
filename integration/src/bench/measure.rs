//! Taking the samples.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::idle;
use super::report::Report;
use super::rows::{Measure, RowPlan};
use crate::exclusive::Exclusive;
use crate::process::{self, Status};
use crate::program::Access;
use crate::{Place, Program, Rootfs, Session, exclusive, guest, paths};

/// What is measured.
#[derive(Debug)]
pub struct Options {
    /// How often each place is measured.
    pub rounds: u32,
    /// The places; the last is compared with the others.
    pub places: Vec<Place>,
    /// The rows.
    pub rows: Vec<RowPlan>,
}

/// Measures all.
///
/// # Errors
/// When a row fails natively or in Cloister. The failure of a peer is put in the report.
pub fn measure(options: &Options, mut progress: impl FnMut(&str)) -> Result<Report> {
    let lock = exclusive::acquire()?;
    let mut report = Report::new(options.places.iter().map(Place::to_string).collect(), &options.rows);
    for round in 1..=options.rounds {
        for (number, &place) in options.places.iter().enumerate() {
            for group in groups(&options.rows, place, round) {
                let names: Vec<_> = group.iter().map(|row| row.name).collect();
                progress(&format!("round {round} of {}: {place}: {}", options.rounds, names.join(", ")));
                match samples(&group, place, &lock) {
                    Ok(samples) => samples.iter().for_each(|(name, value)| report.add(name, number, *value)),
                    Err(error) if matches!(place, Place::Crun | Place::Runsc(_)) => {
                        names.iter().for_each(|name| report.fail(name, number, &error));
                    }
                    Err(error) => return Err(error.context(format!("{place}: {}", names.join(", ")))),
                }
            }
        }
    }
    Ok(report)
}

/// The rows of a round, those together that are measured in one go.
///
/// What idle sandboxes take hardly varies and takes long to measure: the first round is enough.
fn groups(rows: &[RowPlan], place: Place, round: u32) -> Vec<Vec<RowPlan>> {
    let key = |row: &RowPlan| match row.measure {
        Measure::Micro => "micro".to_owned(),
        Measure::Idle(count, _) => format!("idle {count}"),
        Measure::Start(..) | Measure::Script(..) => row.name.to_owned(),
    };
    let is_measured =
        |row: &&RowPlan| !matches!(row.measure, Measure::Idle(..)) || (round == 1 && place != Place::Native);
    let rows: Vec<_> = rows.iter().filter(is_measured).copied().collect();
    let mut seen = BTreeSet::new();
    let keys = rows.iter().map(key).filter(|name| seen.insert(name.clone()));
    keys.map(|name| rows.iter().filter(|row| key(row) == name).copied().collect()).collect()
}

/// One sample of each of the rows, which are measured in one go.
fn samples(rows: &[RowPlan], place: Place, lock: &Exclusive) -> Result<Vec<(String, f64)>> {
    let first = rows.first().context("no rows")?;
    let one = |value| Ok(vec![(first.name.to_owned(), value)]);
    match first.measure {
        Measure::Micro => micro(rows, place, lock),
        Measure::Start(rootfs, args, count) => {
            one(start(&Program::new(rootfs, args.iter().copied()), count, place, lock)?)
        }
        Measure::Script(before, timed) => one(script(before, timed, place, lock)?),
        Measure::Idle(count, _) => idle::samples(rows, count, place, lock),
    }
}

fn micro(rows: &[RowPlan], place: Place, lock: &Exclusive) -> Result<Vec<(String, f64)>> {
    let binary = guest::compile(&paths::crate_dir().join("bench/micro.c"), "micro", "-O2")?;
    let args = ["/guest/micro"].into_iter().chain(rows.iter().map(|row| row.name));
    let program = Program::new(Rootfs::Small, args)
        .with_bind(binary.parent().context("the binary has no folder")?, "/guest", Access::ReadOnly)
        .with_limit(Duration::from_secs(300));
    let done = program.run_locked(place, lock)?;
    ensure!(done.status == Status::Code(0), "the micro benchmark failed\n{done}");
    let lines = done.stdout.lines().filter_map(|line| line.split_once('\t'));
    let value = |(name, value): (&str, &str)| Ok((name.to_owned(), value.parse()?));
    lines.map(value).collect::<Result<_>>().context("odd output of the micro benchmark")
}

/// From the call of the runtime to the end of the last of the programs, in milliseconds.
fn start(program: &Program, count: usize, place: Place, lock: &Exclusive) -> Result<f64> {
    Session::during(lock, |session| {
        let bundle = session.write_bundle(program)?;
        let run = |number| {
            let done = if place == Place::Native {
                // Without the mounts and namespaces, whose making is no part of starting a program.
                let mut command = Command::new("chroot");
                command.arg(program.rootfs.path(lock)?).args(&program.args);
                process::run(&mut command, b"", program.limit)?
            } else {
                place.run_as(program, session, &bundle, &format!("{}-{number}", session.id()))?
            };
            ensure!(done.status == Status::Code(0), "{:?} failed\n{done}", program.args);
            Ok(done.took)
        };
        if count == 1 {
            return Ok(run(0)?.as_secs_f64() * 1e3);
        }
        let begin = Instant::now();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..count).map(|number| scope.spawn(move || run(number))).collect();
            threads.into_iter().try_for_each(|thread| match thread.join() {
                Ok(done) => done.map(|_| ()),
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })?;
        Ok(begin.elapsed().as_secs_f64() * 1e3)
    })
}

/// How long `timed` takes, in milliseconds by the clock that it sees.
fn script(before: &str, timed: &str, place: Place, lock: &Exclusive) -> Result<f64> {
    let script = format!(
        "set -e\ncd /tmp\n{before}\nbegin=$EPOCHREALTIME\n{timed}\nend=$EPOCHREALTIME\necho $((${{end/./}} - ${{begin/./}}))\n"
    );
    let program = Program::bash(Rootfs::Dev, &script).with_limit(Duration::from_secs(120));
    let done = program.run_locked(place, lock)?;
    ensure!(done.status == Status::Code(0), "the script failed\n{done}");
    let last = done.stdout.lines().last().context("the script said nothing")?;
    let micros: f64 = last.trim().parse().with_context(|| format!("odd output of the script\n{done}"))?;
    Ok(micros / 1e3)
}

#[cfg(test)]
mod tests {
    use super::super::rows::ROWS;
    use super::*;

    #[test]
    fn every_row_is_measured_once_in_the_first_round_and_idle_ones_only_then() {
        let names = |round| {
            let mut names: Vec<_> =
                groups(ROWS, Place::Crun, round).concat().iter().map(|row| row.name).collect();
            names.sort_unstable();
            names
        };
        let mut all: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        all.sort_unstable();
        assert_eq!(names(1), all);
        all.retain(|name| !name.starts_with("idle"));
        assert_eq!(names(2), all);
    }
}
