//! Taking the samples.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use super::report::Report;
use super::rows::{Measure, RowPlan};
use super::{copies, idle, lifecycle};
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

/// Measures all. What fails is put in the report.
///
/// # Errors
/// When another measurement or test cannot be waited for.
pub fn measure(options: &Options, mut progress: impl FnMut(&str)) -> Result<Report> {
    let lock = exclusive::acquire()?;
    let mut report = Report::new(options.places.iter().map(Place::to_string).collect(), &options.rows);
    for round in 1..=options.rounds {
        for batch in batches(&options.rows, round) {
            let names: Vec<_> = batch.iter().map(|row| row.name).collect();
            for (number, &place) in
                options.places.iter().enumerate().filter(|(_, place)| can(**place, &batch))
            {
                progress(&format!("round {round} of {}: {place}: {}", options.rounds, names.join(", ")));
                let mut missing: BTreeSet<_> = names.iter().copied().collect();
                let done = samples(&batch, place, &lock, &mut |name, value| {
                    missing.remove(name);
                    report.add(name, number, value);
                });
                let error = done.err().unwrap_or_else(|| anyhow!("there is no figure"));
                missing.iter().for_each(|name| report.fail(name, number, &error));
            }
        }
    }
    Ok(report)
}

/// The rows of a round, those together that are measured in one go.
///
/// What idle sandboxes take hardly varies and takes long to measure: the first round is enough.
fn batches(rows: &[RowPlan], round: u32) -> Vec<Vec<RowPlan>> {
    let key = |row: &RowPlan| match row.measure {
        Measure::Operation(program) => program.to_owned(),
        Measure::Lifecycle(_) => "lifecycle".to_owned(),
        Measure::Idle(count, _) => format!("idle {count}"),
        Measure::Start(..) | Measure::Script(..) | Measure::Copies(_) => row.name.to_owned(),
    };
    let is_measured = |row: &&RowPlan| round == 1 || !matches!(row.measure, Measure::Idle(..));
    let rows: Vec<_> = rows.iter().filter(is_measured).copied().collect();
    let mut seen = BTreeSet::new();
    let keys = rows.iter().map(key).filter(|name| seen.insert(name.clone()));
    keys.map(|name| rows.iter().filter(|row| key(row) == name).copied().collect()).collect()
}

/// Whether a place has what the rows, which are measured in one go, are about.
fn can(place: Place, rows: &[RowPlan]) -> bool {
    rows.iter().all(|row| match row.measure {
        Measure::Idle(..) | Measure::Lifecycle(_) => place != Place::Native,
        Measure::Copies(_) => copies::can(place),
        Measure::Operation(_) | Measure::Start(..) | Measure::Script(..) => true,
    })
}

/// One sample of each of the rows, which are measured in one go.
fn samples(rows: &[RowPlan], place: Place, lock: &Exclusive, add: super::Add<'_>) -> Result<()> {
    let first = rows.first().context("no rows")?;
    match first.measure {
        Measure::Operation(program) => return operations(program, rows, place, lock, add),
        Measure::Lifecycle(_) => return lifecycle::samples(rows, place, lock, add),
        Measure::Idle(count, _) => return idle::samples(rows, count, place, lock, add),
        Measure::Copies(what) => add(first.name, copies::sample(what, place, lock)?),
        Measure::Start(rootfs, args, count) => {
            add(first.name, start(&Program::new(rootfs, args.iter().copied()), count, place, lock)?);
        }
        Measure::Script(rootfs, before, timed) => {
            add(first.name, script(rootfs, before, timed, place, lock)?);
        }
    }
    Ok(())
}

/// Rows of a program in `bench/`. Those before one that fails have their figures.
fn operations(
    name: &str,
    rows: &[RowPlan],
    place: Place,
    lock: &Exclusive,
    add: super::Add<'_>,
) -> Result<()> {
    let source = paths::crate_dir().join(format!("bench/{name}.c"));
    let binary = guest::compile(&source, &format!("bench-{name}"), "-O2")?;
    let args = [format!("/guest/bench-{name}")].into_iter();
    let program = Program::new(Rootfs::Small, args.chain(rows.iter().map(|row| row.name.to_owned())))
        .with_writable_root()
        .with_bind(binary.parent().context("the binary has no folder")?, "/guest", Access::ReadOnly)
        .with_limit(Duration::from_secs(300));
    let done = program.run_locked(place, lock)?;
    for (name, value) in done.stdout.lines().filter_map(|line| line.split_once('\t')) {
        add(name, value.parse().with_context(|| format!("odd output\n{done}"))?);
    }
    ensure!(done.status == Status::Code(0), "the program failed\n{done}");
    Ok(())
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
fn script(rootfs: Rootfs, before: &str, timed: &str, place: Place, lock: &Exclusive) -> Result<f64> {
    let script = format!(
        "set -e\nmkdir /srv/bench\ncd /srv/bench\n{before}\nbegin=$EPOCHREALTIME\n{timed}\nend=$EPOCHREALTIME\n\
         echo $((${{end/./}} - ${{begin/./}}))\n"
    );
    let program = Program::bash(rootfs, &script).with_writable_root().with_limit(Duration::from_secs(120));
    let done = program.run_locked(place, lock)?;
    ensure!(done.status == Status::Code(0), "the script failed\n{done}");
    let last = done.stdout.lines().last().context("the script said nothing")?;
    let micros: f64 = last.trim().parse().with_context(|| format!("odd output of the script\n{done}"))?;
    Ok(micros / 1e3)
}

#[cfg(test)]
mod tests {
    use super::super::rows::select;
    use super::*;

    #[test]
    fn every_row_is_measured_once_in_a_round_but_idle_ones_in_the_first_only() {
        let names = |round| {
            let mut names: Vec<_> =
                batches(&select(&[]), round).concat().iter().map(|row| row.name).collect();
            names.sort_unstable();
            names
        };
        let mut all: Vec<_> = select(&[]).iter().map(|row| row.name).collect();
        all.sort_unstable();
        assert_eq!(names(1), all);
        all.retain(|name| !name.starts_with("idle"));
        assert_eq!(names(2), all);
    }

    #[test]
    fn what_only_runtimes_have_is_not_measured_natively() {
        let can = |place, word: &str| can(place, &select(&[word.to_owned()]));
        assert!(can(Place::Native, "micro") && !can(Place::Native, "oci_") && !can(Place::Native, "idle"));
        assert!(can(Place::Crun, "oci_") && can(Place::Crun, "idle"));
        assert!(can(Place::Cloister(None), "copies") && !can(Place::Runsc("systrap"), "copies"));
    }

    #[test]
    fn the_rows_of_one_program_are_measured_together() {
        let words = ["getppid_", "stat_root", "clock_sys"].map(str::to_owned);
        let batches = batches(&select(&words), 1);
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [4, 1]);
    }
}
