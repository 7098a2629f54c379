//! What sandboxes take that have nothing to do.

use std::time::Duration;

use anyhow::Result;
use nix::unistd::{SysconfVar, sysconf};

use super::lifecycle;
use super::rows::{Idle, Measure, RowPlan};
use crate::exclusive::Exclusive;
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
    add: super::Add<'_>,
) -> Result<()> {
    Session::during(lock, |session| {
        let bundle = session.write_bundle(&Program::new(Rootfs::Small, ["sleep", "1000"]))?;
        let ids: Vec<_> = (0..count).map(|number| format!("{}-{number}", session.id())).collect();
        let started = ids.iter().try_for_each(|id| {
            lifecycle::create(place, session, &bundle, id)?;
            lifecycle::start(place, session, id).map(drop)
        });
        if started.is_ok() {
            watch(rows, count).iter().for_each(|(name, value)| add(name, *value));
        }
        let removed = ids.iter().try_for_each(|id| lifecycle::delete(place, session, id).map(drop));
        started?;
        // A peer that leaves something behind can be measured all the same.
        if matches!(place, Place::Runsc(_)) { Ok(()) } else { removed }
    })
}

#[expect(clippy::cast_precision_loss, reason = "the numbers are small")]
fn watch(rows: &[RowPlan], count: usize) -> Vec<(&'static str, f64)> {
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
            Idle::Memory => each(mebibytes(&all)),
            Idle::Processes => each(all.len() as f64),
            Idle::Threads => each(all.iter().map(|process| process.nr_threads()).sum::<usize>() as f64),
            Idle::Processor => ticks / per_second / WATCHED.as_secs_f64() * 100.0,
        };
        Some((row.name, value))
    };
    rows.iter().filter_map(figure).collect()
}

/// The proportional share of memory of processes.
#[expect(clippy::cast_precision_loss, reason = "the numbers are small")]
pub(super) fn mebibytes(all: &[Process]) -> f64 {
    // Each would report all of the memory that it shares as a thread does.
    let is_first = |(at, process): &(usize, &Process)| {
        !all.iter().take(*at).any(|other| kcmp::is_memory_shared(*other, **process))
    };
    let counted = all.iter().enumerate().filter(is_first);
    let kib: u64 = counted.filter_map(|(_, process)| process.proportional_kib().ok()).sum();
    kib as f64 / 1024.0
}

/// The time that the processes have had on processors.
fn ticks(processes: &[Process]) -> u64 {
    processes.iter().filter_map(|process| process.processor_ticks()).sum()
}
