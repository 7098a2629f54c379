//! What sandboxes take that have nothing to do.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};

use super::rows::{Idle, Measure, RowPlan};
use crate::exclusive::Exclusive;
use crate::process::{self, Status};
use crate::processes::Process;
use crate::{Place, Program, Rootfs, Session, kcmp};

/// How long they are watched.
const WATCHED: Duration = Duration::from_secs(10);

/// Starts `count` sandboxes that sleep, and samples what the rows ask for.
pub(super) fn samples(
    rows: &[RowPlan],
    count: usize,
    place: Place,
    lock: &Exclusive,
) -> Result<Vec<(String, f64)>> {
    Session::during(lock, |session| {
        let bundle = session.write_bundle(&Program::new(Rootfs::Small, ["sleep", "1000"]))?;
        let run = |args: &[&str]| -> Result<()> {
            let done = process::run(place.runtime(session)?.args(args), b"", Duration::from_secs(30))?;
            ensure!(done.status == Status::Code(0), "{args:?} failed\n{done}");
            Ok(())
        };
        let ids: Vec<_> = (0..count).map(|number| format!("{}-{number}", session.id())).collect();
        let started = ids.iter().try_for_each(|id| {
            let mut create = place.runtime(session)?;
            create.arg("create").arg("--bundle").arg(&bundle).arg(id);
            create.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            ensure!(create.status()?.success(), "create failed");
            run(&["start", id])
        });
        let figures = started.map(|()| watch(rows, count));
        let all = Process::own().descendants();
        let removed = ids.iter().try_for_each(|id| run(&["delete", "--force", id]));
        if removed.is_err() && matches!(place, Place::Runsc(_)) {
            // gVisor's own commands for it fail on some kernels: what is left then is killed, and the session waits.
            for process in all {
                // A failure means that it has ended.
                let _ = kill(Pid::from_raw(process.0), Signal::SIGKILL);
            }
            return figures;
        }
        let figures = figures?;
        removed?;
        Ok(figures)
    })
}

#[expect(clippy::cast_precision_loss, reason = "the numbers are small")]
fn watch(rows: &[RowPlan], count: usize) -> Vec<(String, f64)> {
    // Processes give memory back when they have done nothing for a second or two.
    std::thread::sleep(Duration::from_secs(3));
    let all = Process::own().descendants();
    let before = ticks(&all);
    let is_long = |row: &RowPlan| matches!(row.measure, Measure::Idle(_, Idle::Processor));
    if rows.iter().any(is_long) {
        std::thread::sleep(WATCHED);
    }
    let ticks = ticks(&all).saturating_sub(before) as f64;
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100) as f64;
    let each = |sum: f64| sum / count as f64;
    let figure = |row: &RowPlan| {
        let Measure::Idle(_, what) = row.measure else { return None };
        let value = match what {
            Idle::Memory => {
                // Each would report all of the memory that it shares as a thread does.
                let is_first = |(at, process): &(usize, &Process)| {
                    !all.iter().take(*at).any(|other| kcmp::is_memory_shared(*other, **process))
                };
                let counted = all.iter().enumerate().filter(is_first);
                let kib: u64 = counted.filter_map(|(_, process)| process.proportional_kib().ok()).sum();
                each(kib as f64 / 1024.0)
            }
            Idle::Processes => each(all.len() as f64),
            Idle::Threads => each(all.iter().map(|process| process.nr_threads()).sum::<usize>() as f64),
            Idle::Processor => ticks / per_second / WATCHED.as_secs_f64() * 100.0,
        };
        Some((row.name.to_owned(), value))
    };
    rows.iter().filter_map(figure).collect()
}

/// The time that the processes have had on processors.
fn ticks(processes: &[Process]) -> u64 {
    processes.iter().filter_map(|process| process.processor_ticks()).sum()
}
