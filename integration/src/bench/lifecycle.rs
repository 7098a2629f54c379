//! The commands of a runtime, on containers that sleep.

use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::rows::{Measure, RowPlan, Step};
use crate::exclusive::Exclusive;
use crate::process::{self, Status};
use crate::processes::Process;
use crate::{Place, Program, Rootfs, Session};

/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a command that ends by itself, and tells how long it took.
fn run(place: Place, session: &Session<'_>, args: &[&str]) -> Result<Duration> {
    let done = process::run(place.runtime(session)?.args(args), b"", LIMIT)?;
    ensure!(done.status == Status::Code(0), "{args:?} failed\n{done}");
    Ok(done.took)
}

/// Creates a container, which gets no pipe that it could hold open.
pub(super) fn create(place: Place, session: &Session<'_>, bundle: &Path, id: &str) -> Result<Duration> {
    let mut command = place.runtime(session)?;
    command.arg("create").arg("--bundle").arg(bundle).arg(id);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begin = Instant::now();
    ensure!(command.status()?.success(), "create failed");
    Ok(begin.elapsed())
}

/// Starts a container that was created.
pub(super) fn start(place: Place, session: &Session<'_>, id: &str) -> Result<Duration> {
    run(place, session, &["start", id])
}

/// Ends and removes a container.
///
/// Should a peer be unable to do this, what is left is killed, so that the session can end.
pub(super) fn delete(place: Place, session: &Session<'_>, id: &str) -> Result<Duration> {
    let all = Process::own().descendants();
    let done = while_reaping(&all, || run(place, session, &["delete", "--force", id]));
    if done.is_err() && matches!(place, Place::Runsc(_) | Place::Crun) {
        for process in all {
            // A failure means that it has ended.
            let _ = kill(Pid::from_raw(process.0), Signal::SIGKILL);
        }
    }
    done
}

/// Does the work while those of the processes are waited for that end. Orphans are adopted by this process, and gVisor
/// takes one that nobody waits for to be alive.
fn while_reaping<T>(processes: &[Process], work: impl FnOnce() -> T) -> T {
    let (sender, is_done) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while is_done.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout) {
                for process in processes {
                    // It fails for those that are not children of this process.
                    let _ = waitpid(Pid::from_raw(process.0), Some(WaitPidFlag::WNOHANG));
                }
            }
        });
        let done = work();
        drop(sender);
        done
    })
}

/// One sample of each of the rows, by the life of one container.
pub(super) fn samples(rows: &[RowPlan], place: Place, lock: &Exclusive, add: super::Add<'_>) -> Result<()> {
    Session::during(lock, |session| {
        let bundle = session.write_bundle(&Program::new(Rootfs::Dev, ["sleep", "1000"]))?;
        let id = session.id();
        let mut take = |step: Step, took: Duration| {
            for row in rows.iter().filter(|row| matches!(row.measure, Measure::Lifecycle(of) if of == step)) {
                add(row.name, took.as_secs_f64() * 1e3);
            }
        };
        take(Step::Version, run(place, session, &["--version"])?);
        take(Step::Create, create(place, session, &bundle, id)?);
        let lived = start(place, session, id).and_then(|took| {
            take(Step::Start, took);
            rows.iter().try_for_each(|row| match row.measure {
                Measure::Lifecycle(step @ Step::Exec(args)) => {
                    take(step, run(place, session, &[&["exec", id], args].concat())?);
                    Ok(())
                }
                _ => Ok(()),
            })
        });
        let deleted = delete(place, session, id);
        lived?;
        take(Step::Delete, deleted?);
        Ok(())
    })
}
