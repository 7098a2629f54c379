//! Taking the samples.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::report::{Report, Unit};
use crate::process::{self, Status};
use crate::processes::Process;
use crate::program::Access;
use crate::{Place, Program, Rootfs, Session, exclusive, guest, paths};

/// What is measured.
#[derive(Debug)]
pub struct Options {
    /// How often each place is measured.
    pub rounds: u32,
    /// The places; the last is compared with the others.
    pub places: Vec<Place>,
    /// Rows of the micro benchmark; empty for all.
    pub rows: Vec<String>,
}

/// Measures all.
///
/// # Errors
/// When a place cannot run the programs.
pub fn measure(options: &Options, mut progress: impl FnMut(&str)) -> Result<Report> {
    let lock = exclusive::acquire()?;
    let source = paths::crate_dir().join("bench/micro.c");
    let micro = guest::compile(&source, "micro", "-O2")?;
    let names = options.places.iter().map(|place| place.to_string()).collect();
    let mut report = Report { places: names, rows: Vec::new() };
    let all = options.rows.is_empty();
    for round in 1..=options.rounds {
        for (number, &place) in options.places.iter().enumerate() {
            progress(&format!("round {round} of {}: {place}", options.rounds));
            if all {
                let python = Program::new(Rootfs::Dev, ["python3", "-c", "print(1)"]);
                for (name, program) in [
                    ("start /bin/true", Program::new(Rootfs::Small, ["/bin/true"])),
                    ("start python3", python),
                ] {
                    let took = time_of(&program, place, &lock)?;
                    report.add(name, Unit::Ms, number, took.as_secs_f64() * 1e3);
                }
                if place != Place::Native {
                    idle(place, &lock, |name, unit, value| report.add(name, unit, number, value))?;
                }
            }
            let args = [vec!["/guest/micro".to_owned()], options.rows.clone()].concat();
            let program = Program::new(Rootfs::Small, args)
                .with_bind(micro.parent().context("the binary has no folder")?, "/guest", Access::ReadOnly)
                .with_limit(Duration::from_secs(300));
            let done = program.run_locked(place, &lock)?;
            ensure!(done.status == Status::Code(0), "{place}: the micro benchmark failed\n{done}");
            for (name, value) in done.stdout.lines().filter_map(|line| line.split_once('\t')) {
                report.add(
                    name,
                    Unit::Ns,
                    number,
                    value.parse().context("odd output of the micro benchmark")?,
                );
            }
        }
    }
    Ok(report)
}

/// How long the program takes from the call of the runtime to its end.
fn time_of(program: &Program, place: Place, lock: &exclusive::Exclusive) -> Result<Duration> {
    let done = if place == Place::Native {
        let mut command = Command::new("chroot");
        process::run(command.arg(program.rootfs.path(lock)?).args(&program.args), b"", program.limit)?
    } else {
        program.run_locked(place, lock)?
    };
    ensure!(done.status == Status::Code(0), "{place}: {:?} failed\n{done}", program.args);
    Ok(done.took)
}

/// What a sandbox that sleeps takes: memory of all its processes, and their number.
fn idle(place: Place, lock: &exclusive::Exclusive, mut add: impl FnMut(&str, Unit, f64)) -> Result<()> {
    Session::during(lock, |session| {
        let bundle = session.write_bundle(&Program::new(Rootfs::Small, ["sleep", "1000"]))?;
        let mut command = place.runtime(session)?;
        command.arg("create").arg("--bundle").arg(bundle).arg(session.id());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        ensure!(command.status()?.success(), "{place}: create failed");
        let run = |args: &[&str]| -> Result<()> {
            let done = process::run(place.runtime(session)?.args(args), b"", Duration::from_secs(30))?;
            ensure!(done.status == Status::Code(0), "{place}: {args:?} failed\n{done}");
            Ok(())
        };
        run(&["start", session.id()])?;
        std::thread::sleep(Duration::from_millis(500));
        let all = Process::own().descendants();
        let kib: u64 = all.iter().filter_map(|process| process.proportional_kib().ok()).sum();
        let threads: usize = all.iter().map(|process| process.nr_threads()).sum();
        #[expect(clippy::cast_precision_loss, reason = "the numbers are small")]
        let (mib, nr_processes, nr_threads) = (kib as f64 / 1024.0, all.len() as f64, threads as f64);
        add("idle memory (PSS)", Unit::MiB, mib);
        add("idle processes", Unit::Count, nr_processes);
        add("idle threads", Unit::Count, nr_threads);
        remove(place, session, &all, run)
    })
}

/// Ends and deletes the sandbox. gVisor's own commands for it fail on some kernels: what is left then is killed.
fn remove(
    place: Place,
    session: &Session<'_>,
    processes: &[Process],
    run: impl Fn(&[&str]) -> Result<()>,
) -> Result<()> {
    if run(&["delete", "--force", session.id()]).is_ok() {
        return Ok(());
    }
    ensure!(matches!(place, Place::Runsc(_)), "{place}: delete failed");
    let until = Instant::now() + Duration::from_secs(5);
    while processes.iter().any(|process| kill(Pid::from_raw(process.0), Signal::SIGKILL).is_ok()) {
        if Instant::now() > until {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
